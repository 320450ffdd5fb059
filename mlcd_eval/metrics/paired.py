"""Two models on the same samples: the difference with a paired bootstrap interval, and whether chance explains it.

All p values are two-sided. Units (images, documents) were drawn at random, so they are resampled and swapped whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from mlcd_eval.metrics.interval import bootstrap, bootstrap_mean, bootstrap_mean_per_class, group_sums

DRAWS = 10_000
MCNEMAR, PERMUTATION = "McNemar exact", "permutation"
_TOLERANCE = 1e-12  # below any difference of two metrics, above what rounding makes of equal ones
_CHUNK = 1 << 22  # counts held at a time, 32 MB


class Paired(NamedTuple):
    """Values of A and B over the samples, 95% interval of B - A, p and the name of the test that it is of."""

    a: float
    b: float
    ci95: tuple[float, float]
    p: float
    test: str


def paired_means(a: ArrayLike, b: ArrayLike, rng: np.random.Generator, groups: ArrayLike | None = None) -> Paired:
    """Means of outcomes a, b (N,), N > 0; groups: (N,) unit of each sample, or None where each is its own.

    McNemar's test for right-or-wrong outcomes; a permutation test for graded ones, and where a unit has several
    samples, since these are not independent.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    interval = bootstrap_mean(b - a, rng, groups)
    assert interval is not None, "there is a sample"
    if groups is not None and len(np.unique(groups)) < len(a):
        sums_a, sums_b = (group_sums(outcomes[:, None], np.asarray(groups)) for outcomes in (a, b))
        right_or_wrong = False
    else:
        sums_a, sums_b = a[:, None], b[:, None]
        right_or_wrong = bool(np.isin([a, b], (0, 1)).all())
    if right_or_wrong:
        p, test = mcnemar(a, b), MCNEMAR
    else:
        p, test = permutation(sums_a, sums_b, lambda total: total[..., 0] / len(a), rng), PERMUTATION
    return Paired(float(a.mean()), float(b.mean()), interval, p, test)


def paired_class_means(a: ArrayLike, b: ArrayLike, labels: ArrayLike, rng: np.random.Generator) -> Paired:
    """Means over the classes in labels (N,) of the per-class means of outcomes a, b (N,), as in mean per-class recall.

    They are sums of outcomes weighted by 1 / (classes * samples of the class), which a permutation test can swap.
    """
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    interval = bootstrap_mean_per_class(b - a, labels, rng)
    assert interval is not None, "there is a sample"
    classes, label, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    weight = 1 / (len(classes) * sizes[label])
    p = permutation((a * weight)[:, None], (b * weight)[:, None], lambda total: total[..., 0], rng)
    return Paired(float(a @ weight), float(b @ weight), interval, p, PERMUTATION)


def paired_ratios(a: ArrayLike, b: ArrayLike, rng: np.random.Generator, groups: ArrayLike | None = None) -> Paired:
    """Ratios of sums, as overall IoU: a, b (N, 2) hold numerator and denominator of each sample; groups as in
    `paired_means`. Neither sum of denominators may be 0."""
    terms = np.hstack([np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)])
    if groups is not None:
        terms = group_sums(terms, np.asarray(groups))

    def difference(rows: np.ndarray) -> float | None:
        total = terms[rows].sum(axis=0)
        return float(total[2] / total[3] - total[0] / total[1]) if total[1] and total[3] else None

    interval = bootstrap(difference, len(terms), rng)
    assert interval is not None, "the ratios are defined"
    p = permutation(terms[:, :2], terms[:, 2:], _ratio, rng)
    total = terms.sum(axis=0)
    return Paired(float(_ratio(total[:2])), float(_ratio(total[2:])), interval, p, PERMUTATION)


def _ratio(total: np.ndarray) -> np.ndarray:
    return total[..., 0] / total[..., 1]


def mcnemar(a: np.ndarray, b: np.ndarray) -> float:
    """McNemar's exact test of outcomes a, b (N,) of 0 and 1: each sample on which they differ is a fair coin."""
    fewer, more = sorted((np.count_nonzero(a > b), np.count_nonzero(a < b)))
    discordant = fewer + more
    tail = term = 1  # binomial coefficients up to `fewer`, as exact integers
    for k in range(fewer):
        term = term * (discordant - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / 2**discordant)


def permutation(
    a: np.ndarray,
    b: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    rng: np.random.Generator,
    draws: int = DRAWS,
) -> float:
    """Chance of so large a difference if each unit's outcomes were A's or B's by the toss of a coin (sign flips).

    a, b: (G, K) terms of each unit; statistic: sums of terms (..., K) -> (...). Seeded draws, the observed one counted:
    p = (as large + 1) / (draws + 1) (Phipson & Smyth 2010). Units with equal differences are tossed together.
    """
    total_a, total_b = a.sum(axis=0), b.sum(axis=0)
    observed = np.abs(statistic(total_b) - statistic(total_a))
    distinct, frequency = np.unique(b - a, axis=0, return_counts=True)
    as_large = 0
    chunk = max(1, _CHUNK // len(frequency))
    for start in range(0, draws, chunk):
        swapped = rng.binomial(frequency, 0.5, size=(min(chunk, draws - start), len(frequency))) @ distinct
        with np.errstate(invalid="ignore"):  # 0 / 0, which counts as large
            difference = np.abs(statistic(total_b - swapped) - statistic(total_a + swapped))
        as_large += np.count_nonzero(~(difference < observed - _TOLERANCE))
    return (as_large + 1) / (draws + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Each p adjusted for all of them (Holm 1979), in their order: the chance of any false alarm stays below it."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    return adjusted.tolist()
