"""Stage 1: off-the-shelf features of the training set from any encoder of mlcd-eval, through its feature store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlcd_eval.data.base import Split
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.features.encode import EncodeOptions, encode_split, encode_texts
from mlcd_eval.protocols.base import Features
from mlcd_eval.support.distributed import rank
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import write_text
from mlcd_eval.support.foreign import reading
from mlcd_eval.support.npy import read_npy, write_npy
from mlcd_eval.support.progress import Progress
from mlcd_train.sections import EmbedConfig

ROWS = 1 << 14  # written at a time


@dataclass(frozen=True)
class Embedding:
    """features (N, D) float32, memory-mapped, with unit rows; keys: of the N images; dataset: its fingerprint."""

    features: np.ndarray
    keys: Sequence[str]
    dataset: str


def embed(
    folder: Path, encoder: Encoder, split: Split, config: EmbedConfig, options: EncodeOptions, progress: Progress
) -> None:
    """Write features.npy and rows.json to `folder`. Every rank must call this.

    Raises IncompatibleError for a layer or text tower that the encoder lacks, DataError for keys that repeat.
    """
    check_encoder(encoder, config)
    title = f"embedding {split.dataset}/{split.name} with {encoder.info.name}"
    with progress.stage(title, split.scan().num_samples, "images") as advance:
        images = encode_split(encoder, split, [config.layer], options, advance).features[config.layer]
    twice, times = Counter(images.keys).most_common(1)[0]
    if times > 1:
        raise DataError(
            f"{split.dataset}/{split.name} has the key {twice!r} twice: labels are joined by key, expected each once"
        )
    if rank() != 0:
        return  # the other ranks only take part in encoding
    texts = _texts(encoder, images, options, progress) if config.source != "image" else None
    parts = [slice(begin, begin + ROWS) for begin in range(0, len(images.keys), ROWS)]
    rows = (_rows(config, images, texts, part) for part in parts)
    write_npy(folder / "features.npy", (len(images.keys), images.array.shape[1]), rows)
    write_text(folder / "rows.json", json.dumps({"keys": list(images.keys), "dataset": split.scan().fingerprint}))


def _rows(config: EmbedConfig, images: Features, texts: np.ndarray | None, part: slice) -> np.ndarray:
    """Unit rows of a part: of the images, of the texts, or of both added up."""
    keys = images.keys[part]
    rows = np.zeros((len(keys), images.array.shape[1]), np.float32)
    if config.source != "text":
        rows += _unit(images.array[part], keys)
    if texts is not None:
        rows += _unit(texts[part], keys)
    return _unit(rows, keys)


def check_encoder(encoder: Encoder, config: EmbedConfig) -> int:
    """The dimension of the features. Raises IncompatibleError unless the encoder has the layer, and the text tower if
    the source needs one."""
    info = encoder.info
    if config.layer not in info.layers:
        raise IncompatibleError(
            f"embed.layer is {config.layer!r}: got model {info.spec!r} with {', '.join(info.layers)}"
        )
    if config.source != "image" and not info.has_text:
        raise IncompatibleError(
            f"embed.source is {config.source!r}: got model {info.spec!r}, which has no text tower (expected image)"
        )
    return info.layers[config.layer]


def _texts(encoder: Encoder, images: Features, options: EncodeOptions, progress: Progress) -> np.ndarray:
    """(N, D): the mean of the unit features of each image's captions."""
    flat = [text for texts in images.texts for text in texts]
    with progress.stage("embedding captions", len(flat), "texts") as advance:
        encoded = encode_texts(encoder, flat, options)
        advance(len(flat))
    counts = [len(texts) for texts in images.texts]
    starts = np.cumsum([0, *counts])[:-1]
    unit = _unit(encoded, [key for key, count in zip(images.keys, counts, strict=True) for _ in range(count)])
    return np.add.reduceat(unit, starts, axis=0)


def _unit(rows: np.ndarray, keys: Sequence[str]) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    wrong = (~np.isfinite(norms) | (norms == 0)).ravel()
    if wrong.any():
        named = ", ".join(repr(keys[index]) for index in wrong.nonzero()[0][:5])
        raise DataError(f"off-the-shelf features of {named} are zero or not finite, expected directions")
    return rows / norms


def read_embedding(folder: Path) -> Embedding:
    """Read what `embed` wrote; raises DataError if it is missing or damaged."""
    with reading(f"{folder} holds no features (run `mlcd-train embed`)"):
        features = read_npy(folder / "features.npy")
    try:
        rows = read_json(folder / "rows.json")
        embedding = Embedding(features, rows["keys"], rows["dataset"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} holds no features: {error} (run `mlcd-train embed`)") from error
    if features.ndim != 2 or not isinstance(embedding.keys, list):
        raise DataError(f"{folder} is damaged: features of shape {features.shape}, expected a row for each of its keys")
    if len(embedding.keys) != len(features):
        raise DataError(f"{folder} is damaged: {len(features)} feature rows, {len(embedding.keys)} keys")
    return embedding
