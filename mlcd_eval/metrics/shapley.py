"""Shapley values: how much of a difference each of several causes makes (Shapley 1953)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from math import factorial

import numpy as np

MOST_EXACT = 8
"""The most causes for which every set of them is valued: 256 sets."""
ORDERS = 128
"""Pairs of orders that are drawn for more causes."""

Value = Callable[[frozenset[str]], float]
"""A set of causes -> the number where these are present and the others absent."""


def shapley(causes: Sequence[str], value: Value, seed: int = 0) -> dict[str, float]:
    """Return cause -> its contribution; together they are value(all) - value(none).

    A contribution is the mean, over all orders in which the causes may be added, of what the cause adds. Exact for up
    to MOST_EXACT causes; for more, the mean over ORDERS random orders and their reverses.
    """
    return _exact(causes, value) if len(causes) <= MOST_EXACT else _sampled(causes, value, seed)


def _exact(causes: Sequence[str], value: Value) -> dict[str, float]:
    count = len(causes)
    sets = [frozenset(part) for size in range(count + 1) for part in combinations(causes, size)]
    values = {present: value(present) for present in sets}
    contributions = {}
    for cause in causes:
        without = [present for present in sets if cause not in present]
        weights = [factorial(len(rest)) * factorial(count - len(rest) - 1) / factorial(count) for rest in without]
        added = [values[rest | {cause}] - values[rest] for rest in without]
        contributions[cause] = float(np.dot(weights, added))
    return contributions


def _sampled(causes: Sequence[str], value: Value, seed: int) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    totals = dict.fromkeys(causes, 0.0)
    for _ in range(ORDERS):
        order = [causes[place] for place in rng.permutation(len(causes))]
        for each in (order, order[::-1]):
            values = [value(frozenset(each[:count])) for count in range(len(each) + 1)]
            for cause, before, after in zip(each, values, values[1:], strict=False):
                totals[cause] += after - before
    return {cause: total / (2 * ORDERS) for cause, total in totals.items()}
