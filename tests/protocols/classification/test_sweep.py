import math

import pytest

from mlcd_eval.protocols.classification.sweep import LAMBDAS, search_lambda


def recorded(score):
    calls = []

    def evaluate(lambda_):
        calls.append(lambda_)
        return score(math.log10(lambda_))

    return evaluate, calls


def test_the_grid():
    assert len(LAMBDAS) == 97
    assert (LAMBDAS[0], LAMBDAS[48], LAMBDAS[-1]) == (pytest.approx(1e-6), 1.0, pytest.approx(1e6))
    assert LAMBDAS[8] / LAMBDAS[0] == pytest.approx(10)


@pytest.mark.parametrize("peak", range(97))
def test_finds_the_peak_of_a_unimodal_score(peak):
    at = math.log10(LAMBDAS[peak])
    evaluate, calls = recorded(lambda x: -abs(x - at))
    best, scores = search_lambda(evaluate)
    assert best == LAMBDAS[peak]
    assert len(calls) == len(set(calls)) == len(scores) <= 15
    assert (16 <= peak <= 80) <= (len(calls) == 15)


def test_starts_with_seven_from_large_to_small():
    evaluate, calls = recorded(lambda x: -abs(x))
    search_lambda(evaluate)
    assert calls[:7] == pytest.approx([1e6, 1e4, 1e2, 1, 1e-2, 1e-4, 1e-6])
    assert calls[7:9] == pytest.approx([10, 0.1])


def test_of_equal_scores_the_larger_lambda():
    best, scores = search_lambda(lambda lambda_: 0.5)
    assert best == pytest.approx(1e6)
    assert list(scores) == sorted(scores, reverse=True)
    best, _ = search_lambda(lambda lambda_: min(-math.log10(lambda_), 1.0))  # flat at 0.1 and below
    assert best == pytest.approx(0.1)
