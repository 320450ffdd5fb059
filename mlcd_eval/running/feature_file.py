"""Features in one file with their keys and labels, for uses outside this package: parquet, npy or safetensors."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.protocols.base import Features
from mlcd_eval.support.fileio import atomic_write, write_text
from mlcd_eval.support.npy import write_npy

ROWS = 4096  # of a parquet row group


@dataclass(frozen=True)
class FeatureFile:
    """What is written. images: of a split, row i of every field belonging to sample i. captions: (T, D) float32, the
    features of all captions in the order of the samples, None if they were not asked for. about: model, layer, data."""

    images: Features
    captions: NDArray[Any] | None
    about: Mapping[str, Any]

    @property
    def labels(self) -> NDArray[Any] | None:
        """(N,) int64, or (N, C) 0/1 where images have several labels."""
        return self.images.labels

    @property
    def caption_rows(self) -> NDArray[Any]:
        """(T,) int64: the row of the image of each caption."""
        return np.repeat(np.arange(len(self.images.keys)), [len(texts) for texts in self.images.texts])


def check_output(path: Path) -> None:
    """Raise ConfigError unless the file's ending is that of a format whose package is installed."""
    if path.suffix not in FORMATS:
        raise ConfigError(
            f"--output got {path}, expected a file that ends with {', '.join(FORMATS)}{nearest(path.suffix, FORMATS)}"
        )
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError("--output: parquet needs pyarrow: pip install 'mlcd-eval[datasets]', or write .npy")
    if path.is_dir():
        raise ConfigError(f"--output got the folder {path}, expected a file in it, such as {path / 'features.parquet'}")


def write_features(path: Path, contents: FeatureFile) -> None:
    """Write the file under a temporary name and rename it. `check_output` says which endings there are."""
    FORMATS[path.suffix](path, contents)


def _write_parquet(path: Path, contents: FeatureFile) -> None:
    """Columns key, features (a list of D numbers, or of h * w * D for patches), and where there are any: label,
    captions, caption_features (a list of lists). The schema's metadata is `about` with the features' shape."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = contents.images
    shape = images.array.shape[1:]
    metadata = {"mlcd_eval": json.dumps({**contents.about, "shape": shape})}
    with atomic_write(path) as file:
        writer = None
        for rows in _slices(len(images.keys)):
            columns: dict[str, Any] = {"key": pa.array(images.keys[rows], pa.string())}
            columns["features"] = _vectors(images.array[rows])
            if contents.labels is not None:
                columns["label"] = pa.array(contents.labels[rows].tolist())
            if any(images.texts):
                columns["captions"] = pa.array(list(map(list, images.texts[rows])), pa.list_(pa.string()))
            if contents.captions is not None:
                counts = [len(texts) for texts in images.texts]
                ends = np.concatenate([[0], np.cumsum(counts)])
                first, last = ends[rows.start], ends[min(rows.stop, len(counts))]
                columns["caption_features"] = pa.ListArray.from_arrays(
                    pa.array(ends[rows.start : rows.stop + 1] - first, pa.int32()),
                    _vectors(contents.captions[first:last]),
                )
            table = pa.table(columns).replace_schema_metadata(metadata)
            writer = writer or pq.ParquetWriter(file, table.schema)
            writer.write_table(table)
        if writer is not None:
            writer.close()


def _vectors(array: NDArray[Any]) -> Any:
    """Return an Arrow array with a list of float32 per row."""
    import pyarrow as pa

    flat = np.ascontiguousarray(array, dtype=np.float32).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), int(np.prod(array.shape[1:])))


def _write_npy(path: Path, contents: FeatureFile) -> None:
    """The array alone, (N, D) float32; beside it NAME.rows.json with keys, labels, captions and `about`, and with
    captions' features NAME.captions.npy."""
    rows = {
        "about": dict(contents.about),
        "keys": list(contents.images.keys),
        "labels": None if contents.labels is None else contents.labels.tolist(),
        "captions": [list(texts) for texts in contents.images.texts],
    }
    if contents.captions is not None:
        _write_array(path.with_suffix(".captions.npy"), contents.captions)
    write_text(path.with_suffix(".rows.json"), json.dumps(rows))
    _write_array(path, contents.images.array)


def _write_array(path: Path, array: NDArray[Any]) -> None:
    write_npy(path, array.shape, (array[rows] for rows in _slices(len(array))))


def _write_safetensors(path: Path, contents: FeatureFile) -> None:
    """Tensors features, and where there are any: labels, captions and caption_rows. The metadata has keys, captions and
    `about` as JSON."""
    from safetensors.numpy import save_file

    from mlcd_eval.encoders.weights import os_errors  # imports torch

    tensors = {"features": contents.images.array.astype(np.float32, copy=False)}
    if contents.labels is not None:
        tensors["labels"] = contents.labels
    if contents.captions is not None:
        tensors |= {"captions": contents.captions, "caption_rows": contents.caption_rows}
    metadata: dict[str, Any] = {"about": dict(contents.about), "keys": list(contents.images.keys)}
    metadata["captions"] = [list(texts) for texts in contents.images.texts]
    with atomic_write(path) as file, os_errors(path):
        save_file(
            {name: np.ascontiguousarray(array) for name, array in tensors.items()},
            file.name,
            {name: json.dumps(value) for name, value in metadata.items()},
        )


def _slices(count: int) -> Iterator[slice]:
    for begin in range(0, count, ROWS):
        yield slice(begin, begin + ROWS)


FORMATS: dict[str, Callable[[Path, FeatureFile], None]] = {
    ".parquet": _write_parquet,
    ".npy": _write_npy,
    ".safetensors": _write_safetensors,
}
