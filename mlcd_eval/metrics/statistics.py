"""The forms that a metric takes: each has a value, a bootstrap interval and a paired test, from the same columns.

The columns are those of a task's samples, which every record keeps (records/outcomes.py).
`groups`, where it is not None, holds the unit of each sample: samples of one unit are resampled and swapped together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.classification import mean_of_defined, mean_over_classes
from mlcd_eval.metrics.interval import (
    Z95,
    Interval,
    OfSums,
    bootstrap,
    bootstrap_class_means,
    bootstrap_sums,
    ratio,
    standard_error,
)
from mlcd_eval.metrics.paired import (
    Paired,
    paired_class_means,
    paired_influences,
    paired_means,
    paired_rankings,
    paired_sums,
    paired_swaps,
)

Columns = Mapping[str, Sequence[Any] | NDArray[Any]]
Prepare = Callable[[NDArray[Any], NDArray[Any]], Callable[[NDArray[Any] | None], float | None]]
"""Scores (N, M) and labels -> a function of sample indices, drawn with replacement (None: each once), to a metric."""


def column(name: str) -> Callable[[Columns], NDArray[Any]]:
    """A column as it is."""
    return lambda columns: np.asarray(columns[name])


def within(k: int, rank: str = "rank") -> Callable[[Columns], NDArray[Any]]:
    """1.0 where the rank is at most k, else 0.0."""
    return lambda columns: (np.asarray(columns[rank]) <= k) * 1.0


def per_sample(outcomes: NDArray[Any]) -> NDArray[Any]:
    """Outcomes (N,), or (N, T) over T trials, as means over trials (N,)."""
    return outcomes if outcomes.ndim == 1 else outcomes.mean(axis=1)


class Statistic(ABC):
    """One form. Every method raises KeyError with its name for a column that is not there."""

    @abstractmethod
    def value(self, columns: Columns) -> float | None:
        """None where it is undefined, as it is of no samples."""

    @abstractmethod
    def interval(self, columns: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Interval | None:
        """95%, by bootstrap; None where no resample has a value."""

    @abstractmethod
    def paired(self, a: Columns, b: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Paired:
        """B against A on the same samples, on which both have a value."""


@dataclass(frozen=True)
class Mean(Statistic):
    """Mean of an outcome of each sample: columns -> (N,), or (N, T) over T trials."""

    outcome: Callable[[Columns], NDArray[Any]]

    def value(self, columns: Columns) -> float | None:
        """Over samples and trials."""
        outcomes = self.outcome(columns)
        return float(outcomes.mean()) if len(outcomes) else None

    def interval(self, columns: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Interval | None:
        """Over samples or groups, trials being averaged."""
        outcomes = per_sample(self.outcome(columns))
        return bootstrap_sums(np.column_stack([outcomes, np.ones(len(outcomes))]), ratio, rng, groups)

    def paired(self, a: Columns, b: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Paired:
        """McNemar's test of right-or-wrong outcomes, else a permutation test."""
        return paired_means(per_sample(self.outcome(a)), per_sample(self.outcome(b)), rng, groups)


@dataclass(frozen=True)
class Sums(Statistic):
    """A function of sums over samples, such as a ratio. terms: columns -> (N, K).

    exact: the value where the sum of the terms rounds otherwise than the metric's definition; None: of the sums.
    """

    terms: Callable[[Columns], NDArray[Any]]
    of_sums: OfSums = ratio
    exact: Callable[[Columns], float] | None = None

    def value(self, columns: Columns) -> float | None:
        """None where the function is NaN."""
        value = float(self.of_sums(self.terms(columns).sum(axis=0)))
        if np.isnan(value):
            return None
        return self.exact(columns) if self.exact else value

    def interval(self, columns: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Interval | None:
        """Over samples or groups."""
        return bootstrap_sums(self.terms(columns), self.of_sums, rng, groups)

    def paired(self, a: Columns, b: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Paired:
        """A permutation test."""
        return paired_sums(self.terms(a), self.terms(b), self.of_sums, rng, groups)


@dataclass(frozen=True)
class ClassMeans(Statistic):
    """Mean over classes, which the column `label` holds, of the mean of an outcome: columns -> (N,) or (N, T)."""

    outcome: Callable[[Columns], NDArray[Any]]

    def value(self, columns: Columns) -> float | None:
        """Mean over trials."""
        labels, outcomes = np.asarray(columns["label"]), self.outcome(columns)
        return mean_of_defined([mean_over_classes(trial, labels) for trial in np.atleast_2d(outcomes.T)])

    def interval(self, columns: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Interval | None:
        """Over samples or groups, trials being averaged."""
        outcomes = per_sample(self.outcome(columns))
        return bootstrap_class_means(outcomes, np.asarray(columns["label"]), rng, groups=groups)

    def paired(self, a: Columns, b: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Paired:
        """A permutation test."""
        outcomes = per_sample(self.outcome(a)), per_sample(self.outcome(b))
        return paired_class_means(*outcomes, np.asarray(a["label"]), rng, groups)


@dataclass(frozen=True)
class Ranking(Statistic):
    """A metric of the order into which scores put the samples, as ROC AUC.

    scores: columns -> (N,) or (N, M), M classes or trials; labels: columns -> (N,) or (N, C).
    """

    scores: Callable[[Columns], NDArray[Any]]
    labels: Callable[[Columns], NDArray[Any]]
    prepare: Prepare

    def value(self, columns: Columns) -> float | None:
        """The statistic with each sample counted once."""
        return self.prepare(self._scores(columns), self.labels(columns))(None)

    def interval(self, columns: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Interval | None:
        """Over samples."""
        assert groups is None, "no metric of this form has units of several samples"
        scores = self._scores(columns)
        return bootstrap(self.prepare(scores, self.labels(columns)), len(scores), rng)

    def paired(self, a: Columns, b: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Paired:
        """A permutation test that exchanges ranks."""
        assert groups is None, "no metric of this form has units of several samples"
        labels = self.labels(a)
        return paired_rankings(self._scores(a), self._scores(b), lambda scores: self.prepare(scores, labels), rng)

    def _scores(self, columns: Columns) -> NDArray[Any]:
        scores = self.scores(columns)
        return scores if scores.ndim == 2 else scores[:, None]


class Predicted(Ranking):
    """A metric of the predicted classes, as macro F1. scores: columns -> predictions (N,) or (N, T) of T trials."""

    def paired(self, a: Columns, b: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Paired:
        """A permutation test that exchanges predictions."""
        assert groups is None, "no metric of this form has units of several samples"
        labels = self.labels(a)
        return paired_swaps(self._scores(a), self._scores(b), lambda scores: self.prepare(scores, labels), rng)


class Recentred(Predicted):
    """A metric that is biased on few samples, and again on resamples: a calibration error is too large, the accuracy of
    the worst group too small."""

    def interval(self, columns: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Interval | None:
        """Over samples, moved by what resampling adds on average, so that it is around the value; within 0 and 1."""
        assert groups is None, "no metric of this form has units of several samples"
        scores, values = self._scores(columns), []
        metric = self.prepare(scores, self.labels(columns))

        def noted(rows: NDArray[Any] | None) -> float | None:
            values.append(metric(rows))
            return values[-1]

        value, ends = metric(None), bootstrap(noted, len(scores), rng)
        if value is None or ends is None:
            return None
        added = float(np.mean([each for each in values if each is not None])) - value
        return max(0.0, min(value, ends[0] - added)), min(1.0, max(value, ends[1] - added))


@dataclass(frozen=True)
class Influenced(Statistic):
    """A metric of two groupings, which columns hold as ints, whose standard error its influence function gives.

    agreement: groupings (N,), (N,) -> value and influence function at each sample. No larger than 1.
    """

    agreement: Callable[[NDArray[Any], NDArray[Any]], tuple[float, NDArray[Any]]]
    names: tuple[str, str]

    def value(self, columns: Columns) -> float | None:
        """None of no samples."""
        return self._agreement(columns)[0] if len(columns[self.names[0]]) else None

    def interval(self, columns: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Interval | None:
        """Over samples, of which the groupings stay as they are, by the delta method."""
        assert groups is None, "no metric of this form has units of several samples"
        value, influences = self._agreement(columns)
        error = standard_error(influences)
        return value - Z95 * error, min(1.0, value + Z95 * error)

    def paired(self, a: Columns, b: Columns, groups: NDArray[Any] | None, rng: np.random.Generator) -> Paired:
        """A z-test by the delta method."""
        assert groups is None, "no metric of this form has units of several samples"
        return paired_influences(self._agreement(a), self._agreement(b))

    def _agreement(self, columns: Columns) -> tuple[float, NDArray[Any]]:
        first, second = (np.asarray(columns[name]) for name in self.names)
        return self.agreement(first, second)
