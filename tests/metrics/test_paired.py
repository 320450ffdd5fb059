"""Against scipy's tests, all swaps written out, and numbers worked by hand."""

from itertools import product

import numpy as np
import pytest
from protocol_inputs import rng
from scipy import stats
from sklearn.metrics import average_precision_score

from mlcd_eval.metrics import paired
from mlcd_eval.metrics.classification import prepare_roc_auc
from mlcd_eval.metrics.interval import ratio
from mlcd_eval.metrics.multilabel import prepare_mean_average_precision
from mlcd_eval.metrics.paired import (
    MCNEMAR,
    PERMUTATION,
    holm,
    mcnemar,
    paired_class_means,
    paired_means,
    paired_rankings,
    paired_sums,
    permutation,
)


def outcomes(only_a, only_b, both=5, neither=4):
    a = [1] * only_a + [0] * only_b + [1] * both + [0] * neither
    b = [0] * only_a + [1] * only_b + [1] * both + [0] * neither
    return np.array(a, dtype=float), np.array(b, dtype=float)


def all_swaps(a, b, statistic):
    """The exact p: every one of the 2^G ways to give each unit's terms to A and B."""
    observed = abs(statistic(b.sum(axis=0)) - statistic(a.sum(axis=0)))
    large = []
    for swap in product([False, True], repeat=len(a)):
        mask = np.array(swap)[:, None]
        first, second = np.where(mask, b, a).sum(axis=0), np.where(mask, a, b).sum(axis=0)
        large.append(abs(statistic(second) - statistic(first)) >= observed - 1e-12)
    return np.mean(large)


def test_mcnemar_by_hand():
    # 1 against 5 of 6 discordant: 2 * (C(6, 0) + C(6, 1)) / 2^6 = 14 / 64
    assert mcnemar(*outcomes(1, 5)) == mcnemar(*outcomes(5, 1)) == 14 / 64
    assert mcnemar(*outcomes(0, 0)) == 1
    assert mcnemar(*outcomes(3, 3)) == 1


@pytest.mark.parametrize("only_a, only_b", [(0, 1), (2, 9), (40, 60), (300, 380), (2000, 2600)])
def test_mcnemar_is_the_binomial_test_of_scipy(only_a, only_b):
    expected = stats.binomtest(only_a, only_a + only_b, 0.5).pvalue
    assert mcnemar(*outcomes(only_a, only_b)) == pytest.approx(expected, rel=1e-9)


def test_a_p_below_the_smallest_float_is_no_error():
    assert mcnemar(*outcomes(0, 3000)) == 0


def test_means_of_right_or_wrong():
    a, b = outcomes(10, 30, both=50, neither=10)
    paired = paired_means(a, b, rng())
    assert (paired.a, paired.b, paired.test) == (0.6, 0.8, MCNEMAR)
    spread = np.std(b - a) / np.sqrt(len(a))
    assert paired.ci95 == pytest.approx((0.2 - 1.96 * spread, 0.2 + 1.96 * spread), abs=0.015)
    alone = paired_means(a, b, rng(), groups=np.arange(100))
    assert (alone.p, alone.test) == (paired.p, MCNEMAR)


def test_graded_means_agree_with_the_permutation_test_of_scipy():
    r = rng(1)
    a = r.random(60)
    b = np.clip(a + r.normal(0.04, 0.15, 60), 0, 1)
    paired = paired_means(a, b, rng())
    oracle = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(y - x, axis=axis), permutation_type="samples", n_resamples=40_000, rng=rng(2)
    )
    assert paired.test == PERMUTATION
    assert 0.005 < oracle.pvalue < 0.5
    assert paired.p == pytest.approx(oracle.pvalue, abs=0.012)


def test_permutation_agrees_with_all_swaps():
    r = rng(3)
    a, b = r.random((9, 1)), r.random((9, 1)) + 0.2

    def mean(total):
        return total[..., 0] / 9

    assert permutation(a, b, mean, rng(), draws=100_000) == pytest.approx(all_swaps(a, b, mean), abs=0.006)


def test_permutation_counts_the_observed_and_its_mirror():
    a, b = np.zeros((12, 1)), np.full((12, 1), 0.1)  # only all swapped and none are as large: 2 in 2^12
    assert permutation(a, b, lambda total: total[..., 0], rng(), draws=400_000) == pytest.approx(2 / 2**12, abs=1e-4)
    far = np.full((60, 1), 0.1)
    assert permutation(np.zeros((60, 1)), far, lambda total: total[..., 0], rng()) == 1 / 10_001
    assert permutation(a, a, lambda total: total[..., 0], rng()) == 1


def test_swaps_in_chunks_are_the_swaps_at_once(monkeypatch):
    a, b = rng(3).random((2, 9, 1))
    whole = permutation(a, b, lambda total: total[..., 0], rng(), draws=1000)
    for chunk in (9 * 7 + 1, 1):
        monkeypatch.setattr(paired, "_CHUNK", chunk)
        assert permutation(a, b, lambda total: total[..., 0], rng(), draws=1000) == whole


def test_a_z_test_by_hand():
    """Errors of the difference of 0.1 are 1 / sqrt(25) of the influences' difference of 0.25 or -0.25."""
    influence = np.array([0.25, -0.25] * 12 + [0.25])
    found = paired.paired_influences((0.5, np.zeros(25)), (0.6, influence))
    assert (found.a, found.b, found.test) == (0.5, 0.6, paired.Z_TEST)
    assert found.ci95 == pytest.approx((0.1 - 1.959963985 * 0.05, 0.1 + 1.959963985 * 0.05))
    assert found.p == pytest.approx(2 * stats.norm.sf(2))
    same = np.zeros(3)
    assert [paired.paired_influences((0.5, same), (value, same)).p for value in (0.5, 0.6)] == [1.0, 0.0]


def test_samples_of_one_image_are_swapped_together():
    right = np.array([1.0] * 40)
    wrong = np.array([0.0] * 40)
    alone = paired_means(wrong, right, rng())
    images = paired_means(wrong, right, rng(), groups=np.repeat(np.arange(4), 10))
    assert alone.p < 1e-11
    assert images.p == pytest.approx(2 / 2**4, abs=0.01)
    assert images.test == PERMUTATION


def test_class_means_agree_with_all_swaps():
    labels = np.array([7, 7, 7, 7, 2, 2, 5, 5, 5, 5])
    a = np.array([1, 0, 1, 0, 0, 0, 1, 1, 0, 1.0])
    b = np.array([1, 1, 1, 0, 1, 0, 1, 0, 1, 1.0])
    paired = paired_class_means(a, b, labels, rng())
    assert paired.a == pytest.approx((2 / 4 + 0 + 3 / 4) / 3)
    assert paired.b == pytest.approx((3 / 4 + 1 / 2 + 3 / 4) / 3)
    weight = np.array([1 / 12] * 4 + [1 / 6] * 2 + [1 / 12] * 4)[:, None]
    exact = all_swaps(a[:, None] * weight, b[:, None] * weight, lambda total: total[0])
    assert paired.p == pytest.approx(exact, abs=0.015)
    assert paired.ci95[0] < paired.b - paired.a < paired.ci95[1]


def test_ratios_agree_with_all_swaps_by_image():
    r = rng(4)
    union_a, union_b = r.integers(50, 100, (2, 20))
    a = np.column_stack([r.integers(10, 40, 20), union_a])
    b = np.column_stack([r.integers(14, 45, 20), union_b])
    images = np.repeat(np.arange(10), 2)
    paired = paired_sums(a, b, ratio, rng(), images)
    by_image = [terms.reshape(10, 2, 2).sum(axis=1) for terms in (a, b)]
    assert paired.a == ratio(a.sum(axis=0))
    assert paired.b == ratio(b.sum(axis=0))
    exact = all_swaps(*by_image, ratio)
    assert exact < 0.9
    assert paired.p == pytest.approx(exact, abs=0.015)
    draws = rng(1).integers(10, size=(4000, 10))
    resampled = [terms[draws].sum(axis=1) for terms in by_image]
    differences = ratio(resampled[1]) - ratio(resampled[0])
    assert paired.ci95 == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=0.015)


def test_interval_of_ratios_agrees_with_that_of_means_where_unions_are_equal():
    r = rng(5)
    iou = r.random((2, 300))
    means = paired_means(*iou, rng())
    ratios = paired_sums(*(np.column_stack([of_model, np.ones(300)]) for of_model in iou), ratio, rng())
    assert ratios.ci95 == pytest.approx(means.ci95, abs=0.01)
    assert ratios.p == pytest.approx(means.p, abs=0.02)


def test_swaps_with_an_undefined_ratio_count_as_large():
    a, b = np.array([[0, 0], [1, 1]]), np.array([[1, 2], [0, 0]])
    assert permutation(a, b, ratio, rng()) == 1


def all_rank_swaps(a, b, metric):
    """The exact p: every one of the 2^N ways to give each sample's ranks (N, M) to A and B."""
    ranks = [np.column_stack([stats.rankdata(column) for column in scores.T]) for scores in (a, b)]
    observed = abs(metric(b) - metric(a))
    large = []
    for swap in product([False, True], repeat=len(a)):
        mask = np.array(swap)[:, None]
        difference = metric(np.where(mask, ranks[0], ranks[1])) - metric(np.where(mask, ranks[1], ranks[0]))
        large.append(abs(difference) >= observed - 1e-12)
    return np.mean(large)


def slow_auc(labels, scores):
    """By every pair of a positive and a negative."""
    pairs = scores[labels == 1][:, None] - scores[labels == 0]
    return np.mean((pairs > 0) + (pairs == 0) / 2)


def test_roc_auc_agrees_with_all_swaps_of_ranks():
    r = rng(8)
    labels = np.array([1, 0] * 5)
    a, b = np.round(2 * r.normal(size=(2, 10, 1)) + labels[:, None] * [[[0.5]], [[4]]])  # with ties
    paired = paired_rankings(a, 1000 * b + 7, lambda scores: prepare_roc_auc(scores, labels), rng())  # another scale
    assert (paired.a, paired.b) == pytest.approx((slow_auc(labels, a[:, 0]), slow_auc(labels, b[:, 0])))
    exact = all_rank_swaps(a, b, lambda scores: slow_auc(labels, scores[:, 0]))
    assert 0.02 < exact < 0.5
    assert paired.p == pytest.approx(exact, abs=0.03)


def test_interval_of_roc_auc_agrees_with_a_slow_bootstrap(monkeypatch):
    monkeypatch.setattr("mlcd_eval.metrics.paired.SLOW_DRAWS", 1)
    labels = np.array([1, 0] * 40)
    a, b = rng(9).normal(size=(2, 80)) + labels * np.array([[0.5], [1.5]])
    paired = paired_rankings(a[:, None], b[:, None], lambda scores: prepare_roc_auc(scores, labels), rng())
    slow = [slow_auc(labels[i], b[i]) - slow_auc(labels[i], a[i]) for i in rng(1).integers(80, size=(2000, 80))]
    assert paired.ci95 == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])), abs=0.025)


def test_roc_auc_of_trials_swaps_all_trials_of_a_sample():
    labels = np.array([1, 0] * 4)
    a, b = rng(9).normal(size=(2, 8, 3)) + labels[:, None] * np.array([[[0.5]], [[2]]])
    paired = paired_rankings(a, b, lambda scores: prepare_roc_auc(scores, labels), rng())
    exact = all_rank_swaps(a, b, lambda scores: np.mean([slow_auc(labels, trial) for trial in scores.T]))
    assert paired.p == pytest.approx(exact, abs=0.03)


def test_mean_average_precision_agrees_with_all_swaps_of_ranks():
    labels = np.array([[1, 0, 1, 0, 0, 1, 0], [0, 0, 1, 1, 1, 0, 1]]).T
    a, b = rng(10).normal(size=(2, 7, 2)) + labels * np.array([[[0.3]], [[1.5]]])
    paired = paired_rankings(a, b, lambda scores: prepare_mean_average_precision(scores, labels), rng())
    assert (paired.a, paired.b) == pytest.approx([average_precision_score(labels, scores) for scores in (a, b)])
    exact = all_rank_swaps(a, b, lambda scores: average_precision_score(labels, scores))
    assert paired.p == pytest.approx(exact, abs=0.03)
    assert paired.ci95[0] <= paired.b - paired.a <= paired.ci95[1]


def test_p_values_of_equal_rankings_are_uniform(monkeypatch):
    monkeypatch.setattr("mlcd_eval.metrics.paired.SLOW_DRAWS", 99)
    monkeypatch.setattr("mlcd_eval.metrics.interval.bootstrap", lambda *_: (0.0, 0.0))
    r, labels = rng(11), np.array([1, 0] * 15)
    p = [
        paired_rankings(
            *(r.normal(size=(2, 30, 1)) + labels[:, None]), lambda scores: prepare_roc_auc(scores, labels), r
        ).p
        for _ in range(100)
    ]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_of_two_equal_sides_every_draw_is_as_large(monkeypatch):
    monkeypatch.setattr("mlcd_eval.metrics.paired.SLOW_DRAWS", 20)
    a, labels = rng(3).random((12, 1)), np.array([1, 0] * 6)
    paired = paired_rankings(a, a, lambda scores: prepare_roc_auc(scores, labels), rng())
    assert (paired.p, paired.ci95) == (1.0, (0.0, 0.0))
    assert paired_means(a[:, 0], a[:, 0], rng()).p == 1.0


def test_order_of_samples_and_sides_does_not_matter():
    r = rng(6)
    a, b = r.random((2, 80))
    order = r.permutation(80)
    there, back = paired_means(a, b, rng()), paired_means(b, a, rng())
    assert paired_means(a[order], b[order], rng()).p == pytest.approx(there.p, abs=0.02)
    assert back.p == pytest.approx(there.p, abs=0.02)
    assert (back.a, back.b) == (there.b, there.a)
    assert paired_means(a, b, rng()) == there


def test_p_values_of_equal_models_are_uniform():
    r = rng(7)
    p = [paired_means(*r.random((2, 30)), r).p for _ in range(200)]
    assert stats.kstest(p, "uniform").pvalue > 0.01


def test_holm_by_hand():
    # sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 are 0.04, 0.06, 0.06, 0.04; none may fall below the one before
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.9]) == [1, 1]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
