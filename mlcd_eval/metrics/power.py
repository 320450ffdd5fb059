"""The power of a paired comparison of two models: how often a test of n images would tell them apart.

Two-sided tests at LEVEL. Right-or-wrong outcomes: the exact power of McNemar's exact test, for models of which exactly
one is right on a share `discordant` of all images (Miettinen 1968). Other metrics: that of a paired t-test, which a
permutation test comes near to, from the standard error of the difference of n samples.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.distributions import binomial_cdf, binomial_pmf, normal_isf, t_isf, t_tail

LEVEL = 0.05
POWER = 0.8
"""The usual demand on a comparison."""
_MANY = 5_000  # discordant images
_TAIL = 1e-9  # at most, of the numbers of discordant images that are left out on a side
_PRECISION = 1e-6  # of a detectable difference


def mcnemar_power(n: int, discordant: float, difference: float) -> float:
    """Return the chance that McNemar's exact test of n images finds a difference of accuracy, |difference| <=
    discordant."""
    if discordant <= 0:
        return 0.0
    counts: NDArray[Any] = np.array([n])
    chances: NDArray[Any] = np.ones(1)
    if discordant < 1:
        log = -math.log(_TAIL)  # Bernstein's inequality
        reach = log / 3 + math.sqrt(log**2 / 9 + 2 * log * n * discordant * (1 - discordant))
        low, high = max(0, math.floor(n * discordant - reach)), min(n, math.ceil(n * discordant + reach))
        counts = np.arange(low, high + 1)
        chances = binomial_pmf(counts, n, discordant)
    critical = _critical(int(counts[0]), int(counts[-1]))
    favoured = (1 + abs(difference) / discordant) / 2
    rejected = binomial_cdf(critical, counts, favoured) + binomial_cdf(critical, counts, 1 - favoured)
    return float(chances @ rejected)


@lru_cache(maxsize=64)
def _critical(low: int, high: int) -> NDArray[Any]:
    """Of low to high discordant images, the most that may favour the lesser model where the test finds a difference:
    their tail under no difference is at most LEVEL / 2; -1 where even none is too likely."""
    counts = np.arange(low, high + 1)
    critical: NDArray[Any] = np.full(len(counts), -1)
    above: NDArray[Any] = counts
    while np.any(above - critical > 1):
        middle = (critical + above) // 2
        rare = binomial_cdf(middle, counts, 0.5) <= LEVEL / 2
        critical, above = np.where(rare, middle, critical), np.where(rare, above, middle)
    return critical


def t_power(n: int, difference: float, error: float) -> float:
    """Return the chance that a test of n samples finds a difference whose estimate has this standard error."""
    if error <= 0:
        return float(difference != 0)
    degrees = max(1, n - 1)
    critical, shift = t_isf(LEVEL / 2, degrees), abs(difference) / error
    return t_tail(critical, degrees, shift) + t_tail(critical, degrees, -shift)


def mcnemar_images(discordant: float, difference: float, power: float = POWER) -> int | None:
    """Return about the fewest images with this power (which is not quite monotone), None for no difference. Of many
    discordant images by the normal approximation (Connor 1987)."""
    if difference == 0:
        return None
    under_null = normal_isf(LEVEL / 2) * math.sqrt(discordant)
    deviations = under_null + normal_isf(1 - power) * math.sqrt(discordant - difference**2)
    about: int = math.ceil((deviations / difference) ** 2)
    if about * discordant > _MANY:
        return about
    low, high = 0, about
    while mcnemar_power(high, discordant, difference) < power:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if mcnemar_power(middle, discordant, difference) >= power else (middle, high)
    return high


def mcnemar_detectable(n: int, discordant: float, power: float = POWER) -> float | None:
    """Return the least difference that n images find with this power, None where even a model that is right wherever
    the other is wrong would be missed."""
    if mcnemar_power(n, discordant, discordant) < power:
        return None
    low, high = 0.0, discordant
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (low, middle) if mcnemar_power(n, discordant, middle) >= power else (middle, high)
    return high


def t_images(n: int, difference: float, error: float, power: float = POWER) -> int | None:
    """Return about the fewest samples with this power, given the standard error of n; None for no difference."""
    least = t_detectable(n, error, power)
    return None if difference == 0 or least is None else max(2, math.ceil(n * (least / difference) ** 2))


def t_detectable(n: int, error: float, power: float = POWER) -> float | None:
    """Return the difference that n samples find with this power, the far tail being neglected; None where A and B never
    differ, so that nothing is known of the error."""
    degrees = max(1, n - 1)
    return (t_isf(LEVEL / 2, degrees) + t_isf(1 - power, degrees)) * error if error > 0 else None
