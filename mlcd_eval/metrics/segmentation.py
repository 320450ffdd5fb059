"""Referring-expression segmentation: overlaps of run-length encoded masks, never decoded, and the field's metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

EmptyUnion = Literal["lisa", "lavt"]
Rle = Mapping[str, Any]
"""COCO's compressed run-length encoding: {"size": [height, width], "counts": bytes or str}."""


class Overlaps(NamedTuple):
    """Pixels of each sample, int64: (N,) in both masks, (N,) in either."""

    intersection: NDArray[Any]
    union: NDArray[Any]


def overlaps(predictions: Sequence[Rle], truths: Sequence[Rle]) -> Overlaps:
    """Overlaps of N pairs of masks; both of a pair must have one size, which is asserted."""
    areas = np.zeros((len(truths), 3), np.int64)
    for row, (prediction, truth) in enumerate(zip(predictions, truths, strict=True)):
        assert list(prediction["size"]) == list(truth["size"]), "masks have the size of their image"
        # pair by pair: pycocotools 2.0.11 overflows on the areas of more than 255 masks in one call
        areas[row] = coco.area([prediction, truth, coco.merge([prediction, truth], intersect=True)])
    both = areas[:, 2]
    return Overlaps(both, areas[:, 0] + areas[:, 1] - both)


def overall_iou(overlaps: Overlaps) -> float | None:
    """Sum of intersections over sum of unions (oIoU, cIoU); None where no mask has a pixel."""
    union = int(overlaps.union.sum())
    return float(overlaps.intersection.sum() / union) if union else None


def sample_iou(
    overlaps: Overlaps, empty_union: EmptyUnion = "lisa", has_target: NDArray[Any] | bool = True
) -> NDArray[Any]:
    """(N,) intersection over union of each sample; where both masks are empty 1 (LISA's rule) or 0 (LAVT's).

    has_target (N,): whether a sentence refers to anything; where it does not, an empty mask counts 1 and any other 0
    (gRefCOCO). The mean is mean IoU (mIoU, gIoU).
    """
    empty = overlaps.union == 0
    ratio = overlaps.intersection / np.where(empty, 1, overlaps.union)
    return np.where(empty, np.where(has_target, 1.0 if empty_union == "lisa" else 0.0, 1.0), ratio)


def precision_at(iou: NDArray[Any], threshold: float) -> NDArray[Any]:
    """1.0 for each sample whose IoU is at least the threshold (LAVT), else 0.0."""
    return (iou >= threshold).astype(np.float64)


def is_empty(masks: Sequence[Rle]) -> NDArray[Any]:
    """(N,) whether a mask has no pixel."""
    return np.array([coco.area(dict(mask)) == 0 for mask in masks], dtype=bool)


def encode(mask: NDArray[Any]) -> dict[str, Any]:
    """A mask (H, W), anything but 0 being inside, as RLE with its counts as text."""
    rle = coco.encode(np.asfortranarray(mask != 0, dtype=np.uint8))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}
