"""Against scipy's tests, all swaps written out, and numbers worked by hand."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from mlcd_eval.metrics.paired import (
    MCNEMAR,
    PERMUTATION,
    holm,
    mcnemar,
    paired_class_means,
    paired_means,
    paired_ratios,
    permutation,
)


def rng(seed=0):
    return np.random.default_rng(seed)


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
        one, other = np.where(mask, b, a).sum(axis=0), np.where(mask, a, b).sum(axis=0)
        large.append(abs(statistic(other) - statistic(one)) >= observed - 1e-12)
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
    paired = paired_ratios(a, b, rng(), images)

    def ratio(total):
        return total[0] / total[1]

    by_image = [terms.reshape(10, 2, 2).sum(axis=1) for terms in (a, b)]
    assert paired.a == ratio(a.sum(axis=0))
    assert paired.b == ratio(b.sum(axis=0))
    exact = all_swaps(*by_image, ratio)
    assert exact < 0.9
    assert paired.p == pytest.approx(exact, abs=0.015)


def test_interval_of_ratios_agrees_with_that_of_means_where_unions_are_equal():
    r = rng(5)
    iou = r.random((2, 300))
    means = paired_means(*iou, rng())
    ratios = paired_ratios(*(np.column_stack([one, np.ones(300)]) for one in iou), rng())
    assert ratios.ci95 == pytest.approx(means.ci95, abs=0.01)
    assert ratios.p == pytest.approx(means.p, abs=0.02)


def test_swaps_with_an_undefined_ratio_count_as_large():
    a, b = np.array([[0, 0], [1, 1]]), np.array([[1, 2], [0, 0]])
    assert paired_ratios(a, b, rng()).p == 1


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
