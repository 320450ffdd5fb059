"""Accuracy by group of samples (Sagawa et al. 2020): the worst group's, and how far it is below the mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.statistics import Columns

OfGroups = Callable[[NDArray[np.float64], float], float]
"""Accuracies of groups (G,) and the mean over samples -> a value."""


def outcomes_by_group(columns: Columns, outcome: Callable[[Columns], NDArray[Any]]) -> NDArray[np.float64]:
    """(N, 2): the number of a sample's group, and its outcome (N,)."""
    _, number = np.unique(np.asarray(columns["group"]), return_inverse=True)
    return np.column_stack([number, np.asarray(outcome(columns), dtype=np.float64)])


def prepare_groups(of_groups: OfGroups, outcomes: NDArray[Any]) -> Callable[[NDArray[Any] | None], float | None]:
    """A value of groups as a function of sample indices, drawn with replacement (None: each once). A group that is not
    drawn does not count. None of no samples."""
    groups, correct = outcomes[:, 0].astype(np.int64), outcomes[:, 1]

    def value(rows: NDArray[Any] | None) -> float | None:
        drawn, right = (groups, correct) if rows is None else (groups[rows], correct[rows])
        if len(drawn) == 0:
            return None
        sizes = np.bincount(drawn)
        accuracies = np.bincount(drawn, right)[sizes > 0] / sizes[sizes > 0]
        return of_groups(accuracies, float(right.mean()))

    return value


def worst(accuracies: NDArray[np.float64], mean: float) -> float:
    """The accuracy of the worst group."""
    return float(accuracies.min())


def gap(accuracies: NDArray[np.float64], mean: float) -> float:
    """The mean over samples minus the worst group's accuracy."""
    return mean - float(accuracies.min())
