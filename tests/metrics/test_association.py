import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from mlcd_eval.metrics.association import chance_of_jaccard, jaccard_of_best


@pytest.mark.parametrize("seed", range(50))
def test_against_datacomps_statement_with_scikit_learn(seed):
    """eval_utils/wino_eval.py at 4a8df199: the n_assoc largest logits by argsort, and sklearn's jaccard_score."""
    rng = np.random.default_rng(seed)
    candidates = rng.choice([5, 6, 10, 12])
    true = np.zeros(candidates, bool)
    true[rng.permutation(candidates)[: rng.integers(1, candidates - 1)]] = True
    similarities = rng.normal(size=candidates)
    chosen = np.isin(np.arange(candidates), np.argsort(similarities)[-true.sum() :])
    assert jaccard_of_best(similarities, true) == pytest.approx(jaccard_score(true, chosen), abs=1e-15)


def test_a_tie_helps_nobody():
    true = np.array([True, False, True, False])
    assert jaccard_of_best(np.zeros(4), true) == 0
    assert jaccard_of_best(np.array([1.0, 0, 0, 0]), true) == 1 / 3


def test_chance_is_the_mean_over_all_choices():
    """Two of four: one choice has both, four have one (Jaccard 1/3) and one has none."""
    assert chance_of_jaccard(2, 4) == pytest.approx((1 + 4 / 3) / 6)
    rng = np.random.default_rng(0)
    true = np.arange(10) < 3
    drawn = np.mean([jaccard_of_best(rng.normal(size=10), true) for _ in range(20_000)])
    assert chance_of_jaccard(3, 10) == pytest.approx(drawn, abs=0.005)
