"""From centres to labels: the l most similar centres of each image (MLCD, section 3.1), or all above a similarity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_eval.support.documents import parse_json
from mlcd_eval.support.fileio import atomic_write
from mlcd_train.clustering import CELLS

FORMAT_VERSION = "1"
TENSORS = {"keys", "classes", "similarities"}
METADATA = {"num_classes", "dataset", "centres"}
ROWS = 1 << 13  # compared with all centres at a time
NONE = -1  # pads the labels of an image that has fewer than the others


@dataclass(frozen=True)
class Labels:
    """classes (N, l) int64, the most similar first, padded with NONE; similarities (N, l) float32, padded with 0.

    keys: of the N images, in any order; num_classes: K; dataset, centres: fingerprints of
    the images' data set and of the cluster centres.
    """

    keys: Sequence[str]
    classes: Tensor
    similarities: Tensor
    num_classes: int
    dataset: str
    centres: str


@exact_fp32()
def nearest_centres(
    features: np.ndarray | Tensor, centres: Tensor, count: int, threshold: float | None = None
) -> tuple[Tensor, Tensor]:
    """Return classes and cosine similarities (N, count) of the unit centres (K, D) nearest to features (N, D).

    Of equal similarities the lowest class comes first.
    threshold: only centres at least as similar, at most `count` of them, but always the most similar one (table 5d).
    Raises ConfigError unless 1 <= count <= K.
    """
    if not 1 <= count <= len(centres):
        raise ConfigError(
            f"assign: got l = {count} labels per image, expected 1 to {len(centres)}, the number of centres"
        )
    classes, similarities = [], []
    size = max(1, min(ROWS, CELLS // len(centres)))
    for begin in range(0, len(features), size):
        part = features[begin : begin + size]
        rows = (part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))).to(centres.device).float()
        cosine = torch.nn.functional.normalize(rows, dim=1) @ centres.T
        top, index = _top(cosine, count)
        if threshold is not None:
            left_out = top < threshold
            left_out[:, 0] = False
            top, index = top.masked_fill(left_out, 0.0), index.masked_fill(left_out, NONE)
        classes.append(index.cpu())
        similarities.append(top.cpu())
    return torch.cat(classes), torch.cat(similarities)


def _top(cosine: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest values of each row, descending, and their columns, the lowest of equal values: topk
    alone does not promise which of them it takes."""
    top, index = cosine.topk(count, dim=1)
    least = top[:, -1:]
    tied = (cosine == least).sum(dim=1) > (top == least).sum(dim=1)  # topk left out equals of the last value
    if tied.any():
        exact = cosine[tied].argsort(dim=1, descending=True, stable=True)[:, :count]
        index[tied], top[tied] = exact, cosine[tied].gather(1, exact)
    by_class = index.argsort(dim=1)  # then a stable sort by similarity keeps the lower class first
    top, index = top.gather(1, by_class), index.gather(1, by_class)
    order = top.argsort(dim=1, descending=True, stable=True)
    return top.gather(1, order), index.gather(1, order)


def centres_fingerprint(centres: Tensor) -> str:
    """sha256 over shape and float32 bytes."""
    array = centres.detach().cpu().float().contiguous().numpy()
    return hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()


def save_labels(path: Path, labels: Labels) -> None:
    """Write labels as one safetensors file, complete or not at all."""
    keys = torch.frombuffer(bytearray(json.dumps(list(labels.keys)).encode()), dtype=torch.uint8)
    tensors = {"keys": keys, "classes": labels.classes, "similarities": labels.similarities}
    metadata = {
        "format_version": FORMAT_VERSION,
        "num_classes": str(labels.num_classes),
        "dataset": labels.dataset,
        "centres": labels.centres,
    }
    with atomic_write(path) as file:
        file.write(save(tensors, metadata))


def load_labels(path: Path, dataset: str | None = None) -> Labels:
    """Read a label file. Raises DataError for another kind of file, a damaged one, or labels of another dataset.

    dataset: fingerprint of the dataset that it must label, None for any.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 not a mapping
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is not a label file: {error}") from error
    is_complete = set(tensors) >= TENSORS and set(metadata) >= METADATA
    if metadata.get("format_version") != FORMAT_VERSION or not is_complete:
        raise DataError(
            f"{path} is not a label file: got format_version {metadata.get('format_version')!r} with "
            f"{', '.join(sorted(tensors))}, expected {FORMAT_VERSION!r} with classes, keys, similarities"
        )
    if dataset is not None and metadata["dataset"] != dataset:
        raise DataError(
            f"{path} labels another dataset: got fingerprint {metadata['dataset'][:12]}, expected {dataset[:12]} "
            f"(run `mlcd-train assign` again)"
        )
    keys = parse_json(tensors["keys"].numpy().tobytes())
    classes, num_classes = tensors["classes"], int(metadata["num_classes"])
    if len(keys) != len(classes) or classes.shape != tensors["similarities"].shape:
        raise DataError(f"{path} is damaged: {len(keys)} keys, {tuple(classes.shape)} classes")
    if len(classes) and not NONE <= int(classes.min()) <= int(classes.max()) < num_classes:
        raise DataError(f"{path} is damaged: classes outside 0 to {num_classes - 1}")
    return Labels(keys, classes, tensors["similarities"], num_classes, metadata["dataset"], metadata["centres"])
