"""Means over languages: each language counts the same, however many texts it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.interval import Interval, bootstrap_sums
from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.paired import Paired, paired_sums
from mlcd_eval.metrics.statistics import Columns, Statistic, Sums, column, within

MACRO = "macro_"
"""The beginning of the name of a mean over languages; the rest is the metric that it is the mean of."""


@dataclass(frozen=True)
class MacroMean(Statistic):
    """Mean over parts of the data, such as languages, of the mean of an outcome within each.

    outcome: columns -> (N,). by: the columns whose entries together say which part a sample is in. The parts are fixed:
    a resample draws samples, or units with all that they have in any part, and leaves out a part that it lacks.
    """

    outcome: Callable[[Columns], NDArray[Any]]
    by: tuple[str, ...] = ("language",)

    def value(self, columns: Columns) -> float | None:
        """None of no samples."""
        sums = self._sums(columns, None)
        return float(_mean_of_parts(sums.sum(axis=0))) if len(sums) else None

    def interval(self, columns: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Interval | None:
        """Over samples or groups, of all parts together."""
        return bootstrap_sums(self._sums(columns, groups), _mean_of_parts, rng)

    def paired(self, a: Columns, b: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Paired:
        """A permutation test."""
        return paired_sums(self._sums(a, groups), self._sums(b, groups), _mean_of_parts, rng)

    def _sums(self, columns: Columns, groups: NDArray[Any] | None) -> NDArray[Any]:
        """For each unit the sums and the numbers of its outcomes in each part: (units, 2 * parts)."""
        outcomes = np.asarray(self.outcome(columns), dtype=np.float64)
        named = list(zip(*(columns[name] for name in self.by), strict=True))
        number = {name: place for place, name in enumerate(sorted(set(named)))}
        unit = np.arange(len(outcomes)) if groups is None else np.unique(groups, return_inverse=True)[1]
        cell = unit * len(number) + np.array([number[name] for name in named], dtype=np.int64)
        size = len(number) * (int(unit.max(initial=-1)) + 1)
        sums = [np.bincount(cell, weights, minlength=size) for weights in (outcomes, None)]
        return np.hstack([each.astype(np.float64).reshape(-1, max(len(number), 1)) for each in sums])


def _mean_of_parts(sums: NDArray[Any]) -> NDArray[Any]:
    """Sums and numbers (..., 2 * parts) -> the mean of the parts' means, of those that have samples."""
    outcomes, counts = np.split(sums, 2, axis=-1)
    parts = (counts > 0).sum(axis=-1)
    total: NDArray[Any] = (outcomes / np.maximum(counts, 1)).sum(axis=-1) / np.maximum(parts, 1)
    return np.where(parts > 0, total, np.nan)


def _recall(direction: str) -> Callable[[str], MetricKind]:
    return lambda k: MetricKind(
        f"{direction.replace('_to_', '-to-')} R@{k}, mean of languages",
        MacroMean(within(int(k))),
        over="image",
        among=("direction", direction),
    )


def _accuracy(k: int) -> MetricKind:
    def terms(columns: Columns) -> NDArray[Any]:
        ranks = np.asarray(columns["rank_in"])
        return np.hstack([(ranks > 0) & (ranks <= k), ranks > 0]).astype(np.float64)

    return MetricKind(f"acc@{k}, mean of languages", Sums(terms, _mean_of_parts))


ACCURACIES: Mapping[str, MetricKind] = {f"{MACRO}acc{k}": _accuracy(k) for k in (1, 5)}
"""Column rank_in: (N, L), the place of an image's class in each language, 0 where it has no name in it."""

LANGUAGES: Mapping[str, MetricKind] = {
    **ACCURACIES,
    f"{MACRO}mean_recall": MetricKind(
        "mean recall, mean of languages", MacroMean(column("mean_recall"), ("language", "direction")), over="image"
    ),
}
LANGUAGE_FAMILIES: Mapping[str, Callable[[str], MetricKind]] = {
    f"{MACRO}{direction}_recall@": _recall(direction) for direction in ("text_to_image", "image_to_text")
}
"""Columns: language, image, direction and rank or mean_recall."""
