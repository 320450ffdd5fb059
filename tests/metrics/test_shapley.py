"""Shapley values against the mean over all orders, and against games whose values are known."""

from itertools import permutations

import numpy as np
import pytest

from mlcd_eval.metrics.shapley import MOST_EXACT, shapley


def over_all_orders(causes, value):
    totals = dict.fromkeys(causes, 0.0)
    orders = list(permutations(causes))
    for order in orders:
        for place, cause in enumerate(order):
            totals[cause] += value(frozenset(order[: place + 1])) - value(frozenset(order[:place]))
    return {cause: total / len(orders) for cause, total in totals.items()}


@pytest.mark.parametrize("count", range(7))
def test_it_is_the_mean_over_all_orders(count):
    rng = np.random.default_rng(count)
    causes = list("abcdefg"[:count])
    values = {}

    def value(present):
        return values.setdefault(present, float(rng.normal()))

    got, expected = shapley(causes, value), over_all_orders(causes, value)
    assert list(got) == causes
    assert got == pytest.approx(expected, abs=1e-12)


def test_the_glove_game():
    """One left glove, two right ones, a pair is worth 1: the left one gets 2/3, each right one 1/6."""
    got = shapley(["left", "right", "other right"], lambda present: float("left" in present and len(present) > 1))
    assert got == pytest.approx({"left": 2 / 3, "right": 1 / 6, "other right": 1 / 6})


def test_a_set_is_valued_once_and_what_changes_nothing_contributes_nothing():
    asked = []

    def value(present):
        asked.append(present)
        return 3.0 * ("a" in present) + 2.0 * ({"a", "b"} <= present)

    assert shapley(["a", "b", "idle"], value) == pytest.approx({"a": 4.0, "b": 1.0, "idle": 0.0})
    assert len(asked) == len(set(asked)) == 8


def test_more_causes_are_sampled_and_still_add_up():
    causes = [f"c{number}" for number in range(MOST_EXACT + 2)]
    weights = {cause: float(number) for number, cause in enumerate(causes)}

    def value(present):
        return sum(weights[cause] for cause in present) + 4.0 * ({"c0", "c1"} <= present) + 10.0

    got = shapley(causes, value)
    assert sum(got.values()) == pytest.approx(value(frozenset(causes)) - 10.0)
    assert got["c9"] == pytest.approx(9.0)
    assert got["c0"] == pytest.approx(2.0)  # an order and its reverse add the 4 once each
    assert got["c1"] == pytest.approx(3.0)
    assert shapley(causes, value) == got
