import math

import numpy as np
import pytest
from scipy.stats import norm, ttest_1samp

from mlcd_eval.metrics.paired import mcnemar, paired_means
from mlcd_eval.metrics.power import (
    mcnemar_detectable,
    mcnemar_images,
    mcnemar_power,
    t_detectable,
    t_images,
    t_power,
)


def enumerated(n, discordant, difference):
    """The power of McNemar's test by all numbers of images that only A, only B and both or neither get right."""
    only_b, only_a = (discordant + difference) / 2, (discordant - difference) / 2
    total = 0.0
    for a in range(n + 1):
        for b in range(n + 1 - a):
            if mcnemar(np.r_[np.ones(a), np.zeros(b)], np.r_[np.zeros(a), np.ones(b)]) < 0.05:
                ways = math.factorial(n) // (math.factorial(a) * math.factorial(b) * math.factorial(n - a - b))
                total += ways * only_a**a * only_b**b * (1 - discordant) ** (n - a - b)
    return total


@pytest.mark.parametrize(
    ("n", "discordant", "difference"), [(20, 0.5, 0.3), (20, 0.5, -0.3), (12, 1.0, 0.8), (25, 0.6, 0.0), (3, 0.5, 0.5)]
)
def test_power_of_mcnemar_is_that_of_all_outcomes(n, discordant, difference):
    assert mcnemar_power(n, discordant, difference) == pytest.approx(enumerated(n, discordant, difference), abs=1e-7)


@pytest.mark.parametrize(("n", "discordant", "difference"), [(100, 0.3, 0.12), (300, 0.1, 0.05), (683, 0.25, 0.05)])
def test_predicted_power_is_observed(n, discordant, difference):
    rng = np.random.default_rng(0)
    shares = [(discordant + difference) / 2, (discordant - difference) / 2, 1 - discordant]
    found = 0
    for b, a, _ in rng.multinomial(n, shares, size=1000):
        found += mcnemar(np.r_[np.ones(a), np.zeros(b)], np.r_[np.zeros(a), np.ones(b)]) < 0.05
    assert found / 1000 == pytest.approx(mcnemar_power(n, discordant, difference), abs=0.045)  # 3 standard errors


def test_models_that_agree_everywhere_cannot_be_told_apart():
    assert mcnemar_power(1000, 0.0, 0.0) == 0
    assert mcnemar_detectable(1000, 0.0) is None and mcnemar_images(0.0, 0.0) is None
    assert mcnemar_detectable(10, 0.2) is None  # two images on which they differ prove nothing


def test_the_detectable_difference_has_the_power():
    least = mcnemar_detectable(500, 0.2)
    assert mcnemar_power(500, 0.2, least) == pytest.approx(0.8, abs=1e-3)
    assert 0.8 * least < t_detectable(500, math.sqrt(0.2 / 500)) < 1.2 * least


@pytest.mark.parametrize(("discordant", "difference"), [(0.2, 0.05), (0.3, 0.3), (0.5, -0.1)])
def test_the_images_that_are_needed_have_the_power(discordant, difference):
    n = mcnemar_images(discordant, difference)
    assert mcnemar_power(n, discordant, difference) >= 0.8 > mcnemar_power(n - 1, discordant, difference)


def test_many_images_follow_the_normal_approximation():
    n = mcnemar_images(0.2, 0.003)
    assert n == pytest.approx(0.2 * ((norm.isf(0.025) + norm.isf(0.2)) / 0.003) ** 2, rel=1e-3)
    assert mcnemar_power(n, 0.2, 0.003) == pytest.approx(0.8, abs=0.005)


def test_power_of_a_t_test():
    rng = np.random.default_rng(0)
    found = ttest_1samp(rng.normal(0.5, 1, size=(20_000, 20)), 0, axis=1).pvalue < 0.05
    assert t_power(20, 0.5, 1 / math.sqrt(20)) == pytest.approx(found.mean(), abs=0.011)  # 3 standard errors
    assert t_power(50, 0.0, 0.1) == pytest.approx(0.05)
    assert t_power(50, t_detectable(50, 0.02), 0.02) == pytest.approx(0.8, abs=2e-3)
    assert t_power(50, -0.1, 0.02) == pytest.approx(t_power(50, 0.1, 0.02))
    assert t_power(50, 0.1, 0.0) == 1 and t_power(50, 0.0, 0.0) == 0
    assert t_images(100, 0.0, 0.02) is None and t_images(100, 0.1, 0.0) is None
    assert t_images(100, t_detectable(100, 0.02) / 2, 0.02) == pytest.approx(400, abs=1)
    assert t_images(100, 10.0, 0.02) == 2  # one sample has no deviation


def test_a_paired_test_knows_the_agreement_and_the_error():
    rng = np.random.default_rng(0)
    paired = paired_means([1, 1, 0, 0, 1], [1, 0, 1, 1, 1], rng)
    assert paired.discordant == 0.6
    graded = paired_means(rng.random(400), rng.random(400), rng)
    assert graded.discordant is None
    assert graded.error == pytest.approx(math.sqrt(2 / 12 / 400), rel=0.1)
