"""Tails of the binomial and of Student's t distribution, for power and intervals.

SciPy has them too, and is larger than all that tables need together (tests compare the two).
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

_POINTS = 400
_SMALLEST = -40.0  # log of what is too small to count
_CONVERGED = 1e-14
_TINY = 1e-300  # instead of a division by zero
_normal_tail = np.frompyfunc(lambda x: math.erfc(x / math.sqrt(2)) / 2, 1, 1)
_log_gamma = np.frompyfunc(math.lgamma, 1, 1)

Array = NDArray[Any]


def normal_isf(tail: float) -> float:
    """What a standard normal variable exceeds with this probability."""
    return -NormalDist().inv_cdf(tail)


def t_tail(value: float, degrees: float, shift: float = 0.0) -> float:
    """P(T > value) of a t variable, not central with a `shift`: the mean over s of P(Z + shift > value * s).

    s**2 is chi-squared by its degrees. Over log s the trapezoid rule converges exponentially.
    """
    reach = math.sqrt(-_SMALLEST / degrees)
    log_s = np.linspace(-reach + _SMALLEST / degrees, reach, _POINTS)
    weights = np.exp(degrees * (log_s + (1 - np.exp(2 * log_s)) / 2))
    tails = _normal_tail(value * np.exp(log_s) - shift).astype(np.float64)
    return float(weights @ tails / weights.sum())


@lru_cache(maxsize=4096)
def t_isf(tail: float, degrees: float) -> float:
    """What a t variable exceeds with this probability, by bisection."""
    if tail > 0.5:
        return -t_isf(1 - tail, degrees)
    low, high = 0.0, 1.0
    while t_tail(high, degrees) > tail:
        low, high = high, 2 * high
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if t_tail(middle, degrees) > tail else (low, middle)
    return high


def t_interval(mean: float, deviation: float, n: int) -> tuple[float, float]:
    """The 95% interval of a mean of n values with this sample standard deviation."""
    reach = t_isf(0.025, n - 1) * deviation / math.sqrt(n)
    return mean - reach, mean + reach


def welch(a: tuple[float, float, int], b: tuple[float, float, int]) -> float:
    """The p-value of Welch's test (1947) that two means are equal. a, b: mean, sample standard deviation and number of
    values; not both deviations are 0."""
    of_a, of_b = (deviation**2 / n for _, deviation, n in (a, b))
    degrees = (of_a + of_b) ** 2 / (of_a**2 / (a[2] - 1) + of_b**2 / (b[2] - 1))
    return 2 * t_tail(abs(a[0] - b[0]) / math.sqrt(of_a + of_b), degrees)


def binomial_pmf(k: Array, n: int, p: float) -> Array:
    """P(X = k) of n draws, for integers 0 <= k <= n and 0 < p < 1."""
    logs = np.asarray(math.lgamma(n + 1) - _log_gamma(k + 1.0) - _log_gamma(n - k + 1.0), dtype=np.float64)
    chances: Array = np.exp(logs + k * math.log(p) + (n - k) * math.log1p(-p))
    return chances


def binomial_cdf(k: Array, n: Array, p: float) -> Array:
    """P(X <= k) of n draws, element by element; k from -1 to n."""
    below, all_of_it = k < 0, (k >= n) & (k >= 0)
    if p >= 1:
        return all_of_it.astype(np.float64)
    if p <= 0:
        return (~below).astype(np.float64)
    inside = ~below & ~all_of_it
    values = all_of_it.astype(np.float64)
    a, b = (n - k)[inside].astype(np.float64), k[inside] + 1.0
    swapped = 1 - p > (a + 1) / (a + b + 2)  # where the fraction of the other tail converges faster
    first, second, x = np.where(swapped, b, a), np.where(swapped, a, b), np.where(swapped, p, 1 - p)
    tail = _incomplete_beta(first, second, x)
    values[inside] = np.where(swapped, 1 - tail, tail)
    return values


def _incomplete_beta(a: Array, b: Array, x: Array) -> Array:
    """The regularised incomplete beta function by its continued fraction (Abramowitz and Stegun 26.5.8, evaluated by
    Lentz's method), for x below (a + 1) / (a + b + 2)."""
    logs = np.asarray(_log_gamma(a + b) - _log_gamma(a) - _log_gamma(b), dtype=np.float64)
    front: Array = np.exp(logs + a * np.log(x) + b * np.log1p(-x)) / a
    c: Array = np.ones_like(x)
    d: Array = 1 / _not_zero(1 - (a + b) * x / (a + 1))
    fraction, m = d.copy(), 0
    while True:
        m += 1
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d, c = 1 / _not_zero(1 + term * d), _not_zero(1 + term / c)
            fraction *= c * d
        if np.all(np.abs(c * d - 1) < _CONVERGED):
            fraction *= front
            return fraction


def _not_zero(values: Array) -> Array:
    return np.where(np.abs(values) < _TINY, _TINY, values)
