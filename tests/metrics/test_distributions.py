"""Tails of distributions beside SciPy's, which the base install lacks."""

import numpy as np
import pytest
from scipy import stats

from mlcd_eval.metrics.distributions import binomial_cdf, binomial_pmf, normal_isf, t_interval, t_isf, t_tail, welch


def test_normal():
    assert normal_isf(0.025) == pytest.approx(1.959963984540054, rel=1e-12)


@pytest.mark.parametrize("degrees", [1, 2, 9, 300, 50_000])
def test_student(degrees):
    for tail in (0.2, 0.025, 1e-3, 0.9):
        assert t_isf(tail, degrees) == pytest.approx(stats.t.isf(tail, degrees), rel=1e-7)
    for value in (-1.5, 0.3, 2.0, 12.0):
        for shift in (-0.5, 0.7, 4.0):
            expected = stats.nct.sf(value, degrees, shift)
            assert t_tail(value, degrees, shift) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize("p", [0.0, 0.01, 0.3, 0.5, 0.97, 1.0])
def test_binomial(p):
    n = np.array([0, 0, 1, 1, 1, 7, 7, 300, 300, 20_000, 20_000, 1_000_000])
    k = np.array([-1, 0, -1, 0, 1, 2, 7, 90, 299, 5_900, 10_010, 300_500])
    assert binomial_cdf(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), abs=1e-8)


def test_binomial_of_each_number():
    k = np.arange(301)
    assert binomial_pmf(k, 300, 0.21) == pytest.approx(stats.binom.pmf(k, 300, 0.21), abs=1e-12)


def test_means_of_few_values():
    values = np.array([0.61, 0.64, 0.59, 0.7])
    mean, deviation = float(values.mean()), float(values.std(ddof=1))
    expected = stats.t.interval(0.95, 3, loc=mean, scale=stats.sem(values))
    assert t_interval(mean, deviation, 4) == pytest.approx(expected, rel=1e-9)
    for other in ([0.5, 0.8], [0.61, 0.63, 0.62, 0.6, 0.615], [0.7, 0.7, 0.7]):
        side = float(np.mean(other)), float(np.std(other, ddof=1)), len(other)
        p = welch((mean, deviation, 4), side)
        assert p == pytest.approx(stats.ttest_ind(values, other, equal_var=False).pvalue, rel=1e-6)
