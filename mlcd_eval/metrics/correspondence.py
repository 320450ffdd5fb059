"""Correspondence: the share of points that are found near where they are (PCK), by the object's box or the image.

A point is right where its distance is at most alpha times the longer side of the object's box in the target (bbox), or
of the target image (img). Per image is the mean over pairs of the share that is right, per point the share of all
points: SPair-71k's evaluation and DIFT's print both (Min et al. 2019; Tang et al. 2023). Where the object's shape is
known, recall within some centimetres is the share of points whose answer is less far from them on the object itself
(Probe3D, El Banani et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.statistics import Columns, Mean, Sums

SCALES = ("bbox", "img")
"""What a distance is divided by."""
WITHIN = ("0.02", "0.01", "0.05")
"""Metres, those of Probe3D."""


def num_right(distance: NDArray[np.float64], scale: float, alpha: float) -> int:
    """How many distances (N,) are at most alpha times a length."""
    return int(np.count_nonzero(distance <= alpha * scale))


def _terms(scale: str, alpha: str) -> Callable[[Columns], NDArray[np.float64]]:
    """(N, 2): points that are right, and all."""
    return lambda columns: np.column_stack([columns[f"right_{scale}@{alpha}"], columns["points"]]).astype(np.float64)


def _within(metres: str) -> MetricKind:
    def terms(columns: Columns) -> NDArray[np.float64]:
        return np.column_stack([columns[f"within@{metres}"], columns["points"]]).astype(np.float64)

    return MetricKind(f"recall within {metres} m", Sums(terms), over="unit")


def _per_image(scale: str) -> Callable[[str], MetricKind]:
    def kind(alpha: str) -> MetricKind:
        terms = _terms(scale, alpha)
        return MetricKind(
            f"PCK@{alpha} ({scale}, per image)", Mean(lambda columns: np.divide(*terms(columns).T)), over="unit"
        )

    return kind


def _per_point(scale: str) -> Callable[[str], MetricKind]:
    return lambda alpha: MetricKind(f"PCK@{alpha} ({scale}, per point)", Sums(_terms(scale, alpha)), over="unit")


CORRESPONDENCE_FAMILIES: Mapping[str, Callable[[str], MetricKind]] = {
    **{f"pck_{scale}_per_image@": _per_image(scale) for scale in SCALES},
    **{f"pck_{scale}_per_point@": _per_point(scale) for scale in SCALES},
    "recall_3d@": _within,
}
"""Columns: unit, points, and right_bbox@ALPHA or right_img@ALPHA, how many points of each pair are right, or
within@METRES."""
