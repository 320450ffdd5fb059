"""Seeded 95% percentile bootstrap intervals (Efron & Tibshirani 1993, chapter 13), over samples or groups of samples.

What is resampled is what was drawn at random: samples, or images where one image has several captions (`groups`).
A mean of per-sample outcomes needs no resampled arrays: a resample is a multinomial draw over the distinct outcomes,
so 50,000 right-or-wrong outcomes cost as much as two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 1000
_PERCENTILES = (2.5, 97.5)
_CHUNK = 1 << 22  # counts held at a time, 32 MB


def bootstrap_mean(
    outcomes: ArrayLike, rng: np.random.Generator, groups: ArrayLike | None = None, resamples: int = RESAMPLES
) -> tuple[Any, Any] | None:
    """Interval of the mean over samples.

    outcomes: (N,), or (N, M) for M metrics that share their resamples; groups: (N,) group of each sample, or None.
    Returns (low, high), floats for (N,) and arrays (M,) for (N, M); None for N = 0.
    """
    values = np.asarray(outcomes, dtype=np.float64)
    return bootstrap_ratio(values, np.ones(len(values)), rng, groups, resamples)


def bootstrap_ratio(
    numerator: ArrayLike,
    denominator: ArrayLike,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> tuple[Any, Any] | None:
    """Interval of sum(numerator) / sum(denominator) over samples, as in overall IoU.

    numerator: (N,) or (N, M); denominator: (N,), not negative; groups and result as in `bootstrap_mean`.
    Resamples whose denominators sum to 0 are left out; None if all do, or N = 0.
    """
    top = np.asarray(numerator, dtype=np.float64)
    bottom = np.asarray(denominator, dtype=np.float64)
    terms = np.column_stack([top, bottom])
    if groups is not None:
        terms = group_sums(terms, np.asarray(groups))
    if len(terms) == 0:
        return None
    distinct, frequency = np.unique(terms, axis=0, return_counts=True)
    totals = np.concatenate([counts @ distinct for counts in _resampled_counts(frequency, rng, resamples)])
    totals = totals[totals[:, -1] > 0]
    if len(totals) == 0:
        return None
    ratios = totals[:, :-1] / totals[:, -1:]
    low, high = np.percentile(ratios, _PERCENTILES, axis=0)
    return (low, high) if top.ndim == 2 else (float(low[0]), float(high[0]))


def bootstrap_mean_per_class(
    correct: ArrayLike, labels: ArrayLike, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """Interval of the mean over classes of the per-class mean of `correct` (N,), labels (N,) of int.

    Samples are redrawn without regard to class; a class that a resample lacks is left out of its mean,
    as the metric leaves out a class that the split lacks. None for N = 0.
    """
    outcomes = np.asarray(correct, dtype=np.float64)
    if len(outcomes) == 0:
        return None
    pairs, frequency = np.unique(np.column_stack([np.asarray(labels), outcomes]), axis=0, return_counts=True)
    starts = np.flatnonzero(np.r_[True, pairs[1:, 0] != pairs[:-1, 0]])  # pairs are sorted by label
    means = []
    for counts in _resampled_counts(frequency, rng, resamples):
        sizes = np.add.reduceat(counts, starts, axis=1)
        hits = np.add.reduceat(counts * pairs[:, 1], starts, axis=1)
        means.append((hits / np.maximum(sizes, 1)).sum(axis=1) / (sizes > 0).sum(axis=1))
    low, high = np.percentile(np.concatenate(means), _PERCENTILES)
    return float(low), float(high)


def bootstrap(
    metric: Callable[[np.ndarray], float | None],
    n: int,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> tuple[float, float] | None:
    """Interval of any metric, called on `resamples` arrays of sample indices drawn with replacement out of n.

    Resamples on which the metric is undefined (None) are left out; None if all are, or n = 0.
    """
    if n == 0:
        return None
    if groups is None:
        draws = (rng.integers(n, size=n) for _ in range(resamples))
    else:
        _, group = np.unique(np.asarray(groups), return_inverse=True)
        members = np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])
        size = len(members)
        draws = (np.concatenate([members[g] for g in rng.integers(size, size=size)]) for _ in range(resamples))
    values = [value for indices in draws if (value := metric(indices)) is not None]
    if not values:
        return None
    low, high = np.percentile(values, _PERCENTILES)
    return float(low), float(high)


def group_sums(terms: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Rows of terms (N, K) summed by group: (G, K)."""
    distinct, group = np.unique(groups, return_inverse=True)
    sums = np.zeros((len(distinct), terms.shape[1]))
    np.add.at(sums, group, terms)
    return sums


def _resampled_counts(frequency: np.ndarray, rng: np.random.Generator, resamples: int) -> Iterator[np.ndarray]:
    """How often each distinct outcome is drawn: (chunk, K) counts, `resamples` rows in all."""
    n = int(frequency.sum())
    chunk = max(1, _CHUNK // len(frequency))
    for start in range(0, resamples, chunk):
        yield rng.multinomial(n, frequency / n, size=min(chunk, resamples - start))
