"""Seeded 95% percentile bootstrap intervals (Efron & Tibshirani 1993, chapter 13), over samples or groups of samples,
and standard errors by the delta method.

What was drawn at random is resampled: samples, or images where one image has several captions (`groups`).
A metric that is a function of sums over samples needs no resampled arrays: a resample is a multinomial draw over the
distinct terms, so 50,000 right-or-wrong outcomes cost as much as two.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
Interval = tuple[float, float]
"""Low and high end, of 95%."""
OfSums = Callable[[NDArray[Any]], NDArray[Any]]
"""Sums of terms (..., K) -> a metric (...), NaN where it is undefined."""

Z95 = 1.959963984540054
"""Half the width of a normal interval of 95%, in standard errors."""
_PERCENTILES = (2.5, 97.5)
_CHUNK = 1 << 22  # counts held at a time, 32 MB


def generator(seed: int, name: str) -> np.random.Generator:
    """The source of chance for one metric of a run: other metrics, and their order, do not change what it draws."""
    words = np.frombuffer(hashlib.sha256(name.encode()).digest(), dtype="<u4")
    return np.random.default_rng([seed, *words.tolist()])


def ratio(sums: NDArray[Any]) -> NDArray[Any]:
    """The first of two sums (..., 2) over the second, NaN over 0; with a second term of 1 per sample it is the mean."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sums[..., 1] != 0, sums[..., 0] / sums[..., 1], np.nan)


def bootstrap_sums(
    terms: ArrayLike,
    of_sums: OfSums,
    rng: np.random.Generator,
    groups: ArrayLike | None = None,
    resamples: int = RESAMPLES,
) -> Interval | None:
    """Interval of a function of sums over samples, such as a mean or overall IoU.

    terms: (N, K); groups: (N,) group of each sample, or None where each is its own.
    Resamples on which the metric is NaN are left out; None if all are, or N = 0.
    """
    rows = np.asarray(terms, dtype=np.float64)
    if groups is not None:
        rows = group_sums(rows, groups)
    if len(rows) == 0:
        return None
    distinct, frequency = np.unique(rows, axis=0, return_counts=True)
    totals = np.concatenate([counts @ distinct for counts in _resampled_counts(frequency, rng, resamples)])
    return _percentiles(of_sums(totals))


def bootstrap_class_means(
    outcomes: ArrayLike,
    labels: ArrayLike,
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
    groups: ArrayLike | None = None,
) -> Interval | None:
    """Interval of the mean over classes of the per-class mean of `outcomes` (N,), labels (N,) of int.

    Samples, or groups (N,) of them, are redrawn without regard to class; a class that a resample lacks is left out of
    its mean, as the metric leaves out a class that the split lacks. None for N = 0.
    """
    values = np.asarray(outcomes, dtype=np.float64)
    if len(values) == 0:
        return None
    if groups is not None:
        return _percentiles(_grouped_class_means(values, labels, groups, rng, resamples))
    pairs, frequency = np.unique(np.column_stack([np.asarray(labels), values]), axis=0, return_counts=True)
    starts = np.flatnonzero(np.r_[True, pairs[1:, 0] != pairs[:-1, 0]])  # pairs are sorted by label
    means = []
    for counts in _resampled_counts(frequency, rng, resamples):
        sizes = np.add.reduceat(counts, starts, axis=1)
        hits = np.add.reduceat(counts * pairs[:, 1], starts, axis=1)
        means.append((hits / np.maximum(sizes, 1)).sum(axis=1) / (sizes > 0).sum(axis=1))
    return _percentiles(np.concatenate(means))


def _grouped_class_means(
    values: NDArray[Any], labels: ArrayLike, groups: ArrayLike, rng: np.random.Generator, resamples: int
) -> NDArray[Any]:
    """(resamples,) means over classes; how many samples of a class a group has, and their sum, are sparse."""
    from scipy.sparse import csr_array

    distinct, group = np.unique(np.asarray(groups), return_inverse=True)
    classes, label = np.unique(np.asarray(labels), return_inverse=True)
    shape, means = (len(distinct), len(classes)), []
    hits, sizes = (csr_array((terms, (group, label)), shape) for terms in (values, np.ones(len(values))))
    for counts in _resampled_counts(np.ones(len(distinct), np.int64), rng, resamples):
        of_class, seen = counts @ hits, counts @ sizes
        means.append((of_class / np.maximum(seen, 1)).sum(axis=1) / (seen > 0).sum(axis=1))
    return np.concatenate(means)


def bootstrap(
    metric: Callable[[NDArray[Any]], float | None], n: int, rng: np.random.Generator, resamples: int = RESAMPLES
) -> Interval | None:
    """Interval of any metric, called on `resamples` arrays of sample indices drawn with replacement out of n.

    Resamples on which the metric is undefined (None) are left out; None if all are, or n = 0.
    """
    if n == 0:
        return None
    values = [metric(rng.integers(n, size=n)) for _ in range(resamples)]
    return _percentiles(np.array(values, dtype=np.float64))  # None becomes NaN


def standard_error(influences: NDArray[Any]) -> float:
    """Of a metric with this influence function at each sample (N,), by the delta method."""
    return float(np.sqrt((influences**2).mean() / len(influences)))


def widened(interval: Interval, value: float, deviation: float) -> Interval:
    """The interval of a fraction with a further, independent source of noise of this standard deviation: the distance
    of either end from the value grows by it in quadrature, and stays within 0 and 1."""
    low, high = interval
    reach = Z95 * deviation
    return max(0.0, value - math.hypot(value - low, reach)), min(1.0, value + math.hypot(high - value, reach))


def group_sums(terms: NDArray[Any], groups: ArrayLike) -> NDArray[Any]:
    """Rows of terms (N, K) summed by group: (G, K)."""
    distinct, group = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(distinct), terms.shape[1]))
    np.add.at(sums, group, terms)
    return sums


def _resampled_counts(frequency: NDArray[Any], rng: np.random.Generator, resamples: int) -> Iterator[NDArray[Any]]:
    """How often each distinct outcome is drawn: (chunk, K) counts, `resamples` rows in all."""
    n = int(frequency.sum())
    chunk = max(1, _CHUNK // len(frequency))
    for start in range(0, resamples, chunk):
        yield rng.multinomial(n, frequency / n, size=min(chunk, resamples - start))


def _percentiles(values: NDArray[Any]) -> Interval | None:
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return None
    low, high = np.percentile(defined, _PERCENTILES)
    return float(low), float(high)
