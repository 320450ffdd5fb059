"""The feature store: content-addressed, atomic, memory-mapped.

An entry is a folder named by the hash of all that determines its contents (design: weights, preprocessing, precision,
layer, tower, data, format version). While an image entry is being made it holds one file a chunk of data (`parts/`);
when all are there they become one array. `meta.json` is written last: an entry without it is unfinished.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.fileio import atomic_write, write_text
from mlcd_eval.protocols.base import Features

FORMAT_VERSION = 1

Chunk = tuple[int, int]
"""A data shard's number, and which part of it."""


@dataclass(frozen=True)
class FeatureKey:
    """What a feature array depends on. data: the split's fingerprint, or the hash of the texts."""

    weights: str
    preprocessing: str
    precision: str
    layer: str
    tower: str
    data: str
    format_version: int = FORMAT_VERSION

    @classmethod
    def of(cls, encoder: EncoderInfo, precision: str, layer: str, tower: str, data: str) -> FeatureKey:
        """The key of one encoder's features of one layer and tower over one body of data."""
        preprocessing = encoder.preprocessing if tower == "image" else ""
        return cls(encoder.fingerprint, preprocessing, precision, layer, tower, data)

    @property
    def digest(self) -> str:
        """The entry's folder name."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Part:
    """The features of one chunk of a data shard: array (n, ...) float32, and what its n rows are."""

    array: np.ndarray
    keys: list[str]
    labels: list[Any]
    texts: list[list[str]]
    bad: list[str]


class Entry:
    """One feature array on disk, finished or in the making."""

    def __init__(self, cache: Path, key: FeatureKey) -> None:
        self.key = key
        self.folder = cache / "features" / key.digest

    @property
    def complete(self) -> bool:
        """Whether the whole array is there."""
        return (self.folder / "meta.json").is_file()

    def part_path(self, chunk: Chunk) -> Path:
        """Where the features of a chunk stand until all are there."""
        return self.folder / "parts" / f"{chunk[0]:06d}_{chunk[1]:06d}.npz"

    def write_part(self, chunk: Chunk, part: Part) -> None:
        """Keep one chunk's features; whole or not at all."""
        rows = json.dumps({"keys": part.keys, "labels": part.labels, "texts": part.texts, "bad": part.bad})
        with atomic_write(self.part_path(chunk)) as file:
            np.savez(file, array=part.array, rows=np.frombuffer(rows.encode(), dtype=np.uint8))

    def read_part(self, chunk: Chunk) -> Part:
        """Read back what `write_part` wrote."""
        with np.load(self.part_path(chunk), allow_pickle=False) as file:
            return Part(array=file["array"], **json.loads(file["rows"].tobytes()))

    def join_parts(self, chunks: Sequence[Chunk]) -> None:
        """Make the entry of its parts, in the order of (shard, chunk) given, and drop them."""
        rows: dict[str, list[Any]] = {"keys": [], "labels": [], "texts": [], "bad": []}
        shapes = []
        for chunk in chunks:
            part = self.read_part(chunk)
            shapes.append(part.array.shape)
            for name, values in rows.items():
                values.extend(getattr(part, name))
        row_shape = next((shape[1:] for shape in shapes if shape[0]), (0,))
        with atomic_write(self.folder / "features.npy") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(rows["keys"]), *row_shape)}
            np.lib.format.write_array_header_2_0(file, header)
            for chunk in chunks:
                file.write(np.ascontiguousarray(self.read_part(chunk).array, dtype="<f4").data)
        write_text(self.folder / "rows.json", json.dumps(rows))
        self._finish()
        shutil.rmtree(self.folder / "parts")

    def write_array(self, array: np.ndarray) -> None:
        """Make a text entry, which has no rows of its own."""
        with atomic_write(self.folder / "features.npy") as file:
            np.save(file, array.astype("<f4", copy=False), allow_pickle=False)
        self._finish()

    def _finish(self) -> None:
        write_text(self.folder / "meta.json", json.dumps(asdict(self.key), indent=2) + "\n")

    def array(self) -> np.ndarray:
        """The array, memory-mapped read-only (an empty array cannot be mapped and is read)."""
        return np.load(self.folder / "features.npy", mmap_mode="r", allow_pickle=False)

    def features(self) -> Features:
        """The image entry with its rows."""
        rows = json.loads((self.folder / "rows.json").read_text(encoding="utf-8"))
        labels = None if None in rows["labels"] else np.asarray(rows["labels"], dtype=np.int64)
        return Features(
            array=self.array(),
            keys=rows["keys"],
            labels=labels,
            texts=[tuple(captions) for captions in rows["texts"]],
            bad=rows["bad"],
        )


def entry_lock(cache: Path, key: FeatureKey) -> FileLock:
    """The lock under which a model's features of one body of data are made, so that two runs do not encode twice."""
    folder = cache / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{key.weights} {key.tower} {key.data}".encode()).hexdigest()
    return FileLock(folder / f"{name[:32]}.lock")
