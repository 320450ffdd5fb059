"""Two models on the same samples: the difference with a paired bootstrap interval, and whether chance explains it.

All p values are two-sided. Units (images, documents) were drawn at random, so they are resampled and swapped whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlcd_eval.metrics import interval as intervals
from mlcd_eval.metrics.interval import Interval, OfSums

DRAWS = 10_000
SLOW_DRAWS = 2_000  # of metrics that are no function of sums: each draw ranks all samples again
MCNEMAR, PERMUTATION, Z_TEST = "McNemar exact", "permutation", "z"
Prepared = Callable[[NDArray[Any]], Callable[[NDArray[Any] | None], float | None]]
"""Scores or predictions -> a function of sample indices, drawn with replacement (None: each sample once), to the
metric."""
_TOLERANCE = 1e-12  # below any difference of two metrics, above what rounding makes of equal ones
_CHUNK = 1 << 22  # counts held at a time, 32 MB


class Paired(NamedTuple):
    """Values of A and B over the samples, 95% interval of B - A, and p with the name of its test. discordant: the share
    of samples on which exactly one is right, None of a test that is not McNemar's."""

    a: float
    b: float
    ci95: Interval
    p: float
    test: str
    discordant: float | None = None

    @property
    def error(self) -> float:
        """The standard error of B - A."""
        return (self.ci95[1] - self.ci95[0]) / (2 * intervals.Z95)


def paired_means(a: ArrayLike, b: ArrayLike, rng: np.random.Generator, groups: ArrayLike | None = None) -> Paired:
    """Means of outcomes a, b (N,), N > 0; groups: (N,) unit of each sample, or None where each is its own.

    McNemar's test for right-or-wrong outcomes; a permutation test for graded ones, and where a unit has several
    samples, since these are not independent.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    ones = np.ones(len(a))
    alone = groups is None or len(np.unique(groups)) == len(a)
    if not (alone and np.isin([a, b], (0, 1)).all()):
        return paired_sums(np.column_stack([a, ones]), np.column_stack([b, ones]), intervals.ratio, rng, groups)
    interval = intervals.bootstrap_sums(np.column_stack([b - a, ones]), intervals.ratio, rng)
    assert interval is not None, "there is a sample"
    return Paired(float(a.mean()), float(b.mean()), interval, mcnemar(a, b), MCNEMAR, float((a != b).mean()))


def paired_sums(
    a: ArrayLike, b: ArrayLike, of_sums: OfSums, rng: np.random.Generator, groups: ArrayLike | None = None
) -> Paired:
    """A function of sums over samples, such as overall IoU: a, b (N, K) hold the terms of each sample.

    groups as in `paired_means`. The metric must be defined for both.
    """
    terms = np.hstack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])
    if groups is not None:
        terms = intervals.group_sums(terms, groups)
    k = terms.shape[1] // 2
    interval = intervals.bootstrap_sums(terms, lambda sums: of_sums(sums[..., k:]) - of_sums(sums[..., :k]), rng)
    assert interval is not None, "the metric is defined"
    p = permutation(terms[:, :k], terms[:, k:], of_sums, rng)
    total = terms.sum(axis=0)
    return Paired(float(of_sums(total[:k])), float(of_sums(total[k:])), interval, p, PERMUTATION)


def paired_class_means(
    a: ArrayLike, b: ArrayLike, labels: ArrayLike, rng: np.random.Generator, groups: ArrayLike | None = None
) -> Paired:
    """Means over the classes in labels (N,) of the per-class means of outcomes a, b (N,), as in mean per-class recall.

    They are sums of outcomes weighted by 1 / (classes * samples of the class), which a permutation test can swap.
    groups as in `paired_means`.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    interval = intervals.bootstrap_class_means(b - a, labels, rng, groups=groups)
    assert interval is not None, "there is a sample"
    classes, label, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    weight = 1 / (len(classes) * sizes[label])
    terms = np.column_stack([a * weight, b * weight])
    if groups is not None:
        terms = intervals.group_sums(terms, groups)
    p = permutation(terms[:, :1], terms[:, 1:], lambda total: total[..., 0], rng)
    return Paired(float(a @ weight), float(b @ weight), interval, p, PERMUTATION)


def paired_rankings(a: NDArray[Any], b: NDArray[Any], prepare: Prepared, rng: np.random.Generator) -> Paired:
    """A metric of how samples are ordered by their scores a, b (N, M), M classes or trials, as ROC AUC.

    The permutation test exchanges the two models' ranks of a sample, not its scores, whose scales may differ
    (Venkatraman & Begg 1996; Bandos, Rockette & Gur 2005).
    """
    return paired_swaps(a, b, prepare, rng, (_twice_midranks(a), _twice_midranks(b)))


def paired_swaps(
    a: NDArray[Any],
    b: NDArray[Any],
    prepare: Prepared,
    rng: np.random.Generator,
    exchanged: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> Paired:
    """A metric of what two models say of each sample, a, b (N, M), that is no function of sums.

    exchanged: what the permutation test swaps in place of a and b. A sample's labels stay with it.
    """
    value_a, value_b = prepare(a), prepare(b)

    def difference(rows: NDArray[Any]) -> float | None:
        of_a, of_b = value_a(rows), value_b(rows)
        return None if of_a is None or of_b is None else of_b - of_a

    interval = intervals.bootstrap(difference, len(a), rng)
    whole_a, whole_b = value_a(None), value_b(None)
    assert interval is not None and whole_a is not None and whole_b is not None, "the metric is defined"
    of_a, of_b = exchanged or (a, b)
    as_large = 0
    for _ in range(SLOW_DRAWS):
        swap = rng.random((len(a), 1)) < 0.5
        first = prepare(np.where(swap, of_b, of_a))(None)
        second = prepare(np.where(swap, of_a, of_b))(None)
        assert first is not None and second is not None, "the labels are the same"
        as_large += abs(second - first) >= abs(whole_b - whole_a) - _TOLERANCE
    return Paired(whole_a, whole_b, interval, (as_large + 1) / (SLOW_DRAWS + 1), PERMUTATION)


def paired_influences(a: tuple[float, NDArray[Any]], b: tuple[float, NDArray[Any]]) -> Paired:
    """A metric with its influence function (N,) at each sample: a z-test of the difference by the delta method."""
    difference, error = b[0] - a[0], intervals.standard_error(b[1] - a[1])
    low, high = (difference + sign * intervals.Z95 * error for sign in (-1, 1))
    p = math.erfc(abs(difference) / error / math.sqrt(2)) if error > 0 else float(difference == 0)
    return Paired(a[0], b[0], (low, high), p, Z_TEST)


def _twice_midranks(scores: NDArray[Any]) -> NDArray[Any]:
    """Each column's ranks, equal scores sharing the mean of theirs, times two: ints, which sort fast."""
    ranks = np.empty(scores.shape, dtype=np.int16 if 2 * len(scores) <= np.iinfo(np.int16).max else np.int64)
    for column, values in enumerate(scores.T):
        _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        ranks[:, column] = (2 * last - counts + 1)[place]
    return ranks


def mcnemar(a: NDArray[Any], b: NDArray[Any]) -> float:
    """McNemar's exact test of outcomes a, b (N,) of 0 and 1: each sample on which they differ is a fair coin."""
    fewer, more = sorted((np.count_nonzero(a > b), np.count_nonzero(a < b)))
    discordant = fewer + more
    tail = term = 1  # binomial coefficients up to `fewer`, as exact integers
    for k in range(fewer):
        term = term * (discordant - k) // (k + 1)
        tail += term
    return min(1.0, float(2 * tail / 2**discordant))


def permutation(
    a: NDArray[Any], b: NDArray[Any], of_sums: OfSums, rng: np.random.Generator, draws: int = DRAWS
) -> float:
    """Chance of so large a difference if each unit's outcomes were A's or B's by the toss of a coin (sign flips).

    a, b: (G, K) terms of each unit. Seeded draws, the observed one counted: p = (as large + 1) / (draws + 1) (Phipson &
    Smyth 2010). Units with equal differences are tossed together.
    """
    total_a, total_b = a.sum(axis=0), b.sum(axis=0)
    observed = np.abs(of_sums(total_b) - of_sums(total_a))
    distinct, frequency = np.unique(b - a, axis=0, return_counts=True)
    as_large = 0
    chunk = max(1, _CHUNK // len(frequency))
    for start in range(0, draws, chunk):
        swapped = rng.binomial(frequency, 0.5, size=(min(chunk, draws - start), len(frequency))) @ distinct
        difference = np.abs(of_sums(total_b - swapped) - of_sums(total_a + swapped))
        as_large += np.count_nonzero(~(difference < observed - _TOLERANCE))  # an undefined one counts as large
    return (as_large + 1) / (draws + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p adjusted for all of them (Holm 1979), in their order: the chance of any false alarm stays below it."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    return adjusted.tolist()
