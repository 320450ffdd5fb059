"""Semantic segmentation: overlaps of two maps of classes, and the field's metrics of their sums over images.

Maps are (height, width) ints; a pixel whose true class is negative is not scored, whatever is predicted there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.interval import ratio
from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.statistics import Columns, Sums

BOUNDARY = 0.02
"""How far a boundary reaches inwards, as a share of the image's diagonal (Cheng et al. 2021)."""


class ClassOverlaps(NamedTuple):
    """Pixels of an image by class, (C,) int64: that have it in both maps, and in either one."""

    intersection: NDArray[Any]
    union: NDArray[Any]


def class_overlaps(prediction: NDArray[Any], truth: NDArray[Any], num_classes: int) -> ClassOverlaps:
    """The overlaps of each class on the pixels that are scored. Every prediction there is a class."""
    scored = truth >= 0
    return _overlaps(prediction[scored], truth[scored], num_classes)


def boundary_overlaps(prediction: NDArray[Any], truth: NDArray[Any], num_classes: int) -> ClassOverlaps:
    """The overlaps of each class's boundary: the pixels of a mask within a distance of its outline.

    The distance is BOUNDARY of the image's diagonal, at least one pixel, in the largest of rows and columns, as by as
    many erosions with 3 x 3 pixels; the image's border is an outline. Pixels that are not scored are outside of every
    mask in both maps.
    """
    scored = truth >= 0
    reach = max(1, round(BOUNDARY * math.hypot(*truth.shape)))
    ours, theirs = (_near_outline(np.where(scored, each, -1), reach) & scored for each in (prediction, truth))
    outside = num_classes  # what is at no boundary of a map has a class of its own
    overlaps = _overlaps(
        np.where(ours, prediction, outside)[ours | theirs], np.where(theirs, truth, outside)[ours | theirs], outside + 1
    )
    return ClassOverlaps(*(each[:num_classes] for each in overlaps))


def _overlaps(prediction: NDArray[Any], truth: NDArray[Any], num_classes: int) -> ClassOverlaps:
    same = np.bincount(truth[prediction == truth], minlength=num_classes)
    either = np.bincount(truth, minlength=num_classes) + np.bincount(prediction, minlength=num_classes) - same
    return ClassOverlaps(same, either)


def _near_outline(classes: NDArray[Any], reach: int) -> NDArray[np.bool_]:
    """Whether another class, or no pixel at all, is at most so many rows and columns away."""
    from scipy import ndimage

    size = 2 * reach + 1
    low, high = (
        extreme(classes, size=size, mode="constant", cval=-2)
        for extreme in (ndimage.minimum_filter, ndimage.maximum_filter)
    )
    found: NDArray[np.bool_] = low != high
    return found


def class_ious(intersection: NDArray[Any], union: NDArray[Any]) -> NDArray[np.float64]:
    """Intersection over union of sums (..., C), NaN for a class that no pixel has in either map."""
    return ratio(np.stack([intersection, union], axis=-1))


def mean_iou(sums: NDArray[Any]) -> NDArray[Any]:
    """The mean of the classes' IoU, from sums (..., 2 C) of intersections and unions; classes without a pixel are left
    out, as in mmsegmentation's mIoU. NaN where no class has one."""
    intersection, union = np.split(sums, 2, axis=-1)
    seen = union > 0
    total = np.where(seen, intersection / np.where(seen, union, 1), 0).sum(axis=-1)
    return ratio(np.stack([total, seen.sum(axis=-1)], axis=-1))


def _both(name: str) -> Sums:
    return Sums(
        lambda columns: np.concatenate(
            [np.asarray(columns[f"{name}_{each}"]) for each in ("intersection", "union")], axis=1
        ),
        mean_iou,
    )


def _right(columns: Columns) -> NDArray[Any]:
    return np.column_stack([columns["pixels_right"], columns["pixels_scored"]])


DENSE: Mapping[str, MetricKind] = {
    "miou": MetricKind("mIoU", _both("class"), over="unit"),
    "pixel_accuracy": MetricKind("pixel accuracy", Sums(_right), over="unit"),
    "boundary_miou": MetricKind("boundary mIoU", _both("boundary"), over="unit"),
}
"""Columns: unit, class_intersection, class_union, boundary_intersection and boundary_union (N, C), pixels_right and
pixels_scored. Sums are over images, and resamples of units."""
