"""Columns of samples that need not be kept as they are, since the metrics can be made from less."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.statistics import Columns

ORDERED = ("contrast",)
"""Columns of which only the order counts: their `places` say as much."""


def places(scores: NDArray[Any]) -> NDArray[Any]:
    """In which order scores (N,) or (N, C) put the samples, in each column from 0 for the lowest, equal for equal ones.

    (N,) or (N, C) int64.
    """
    ranked = np.empty(scores.shape, dtype=np.int64)
    for row, values in zip(np.atleast_2d(ranked.T), np.atleast_2d(scores.T), strict=True):
        row[:] = np.unique(values, return_inverse=True)[1]
    return ranked


def _ratio(columns: Columns) -> NDArray[Any]:
    union = np.asarray(columns["union"])
    shares: NDArray[Any] = np.asarray(columns["intersection"]) / np.where(union == 0, 1, union)
    return shares


EXPECTED: Mapping[str, Callable[[Columns], NDArray[Any]]] = {
    "union": lambda columns: np.asarray(columns["intersection"]),
    "iou": _ratio,
}
"""Column -> what others let expect of it, so that only what goes beyond need be kept: false pixels, and the IoU of two
empty masks. Those that need another come after it."""
