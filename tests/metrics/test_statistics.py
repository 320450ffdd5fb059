"""Statistics of metrics that are biased on few samples."""

import numpy as np
import pytest

from mlcd_eval.metrics.statistics import Recentred, column


def recentred(metric):
    scores = column("scores")
    return Recentred(
        scores, column("labels"), lambda scores, _: lambda rows: metric(scores if rows is None else scores[rows])
    )


COLUMNS = {"scores": np.arange(40) / 40, "labels": np.zeros(40)}


def test_what_resampling_adds_is_taken_off_and_the_interval_holds_the_value():
    """The largest of a resample is below the largest, by what the interval is moved up."""
    statistic = recentred(lambda scores: float(scores[:, 0].max()))
    low, high = statistic.interval(COLUMNS, None, np.random.default_rng(0))
    added = -sum((k / 40) ** 40 for k in range(1, 40)) / 40  # in expectation, of the largest of 40 draws
    assert (0.925**40 > 0.025 > 0.9**40) and low == pytest.approx(36 / 40 - added, abs=0.002)
    assert high == pytest.approx(39 / 40 - added, abs=0.002)
    mean = recentred(lambda scores: float(scores.mean())).interval(COLUMNS, None, np.random.default_rng(0))
    spread = 1.96 * COLUMNS["scores"].std() / 40**0.5
    assert mean == pytest.approx((39 / 80 - spread, 39 / 80 + spread), abs=0.02)


@pytest.mark.parametrize("defined_of_all", [True, False])
def test_an_undefined_value_or_resample_has_no_interval(defined_of_all):
    statistic = recentred(lambda scores: 0.5 if defined_of_all and len(np.unique(scores)) == 40 else None)
    assert statistic.value(COLUMNS) == (0.5 if defined_of_all else None)
    assert statistic.interval(COLUMNS, None, np.random.default_rng(0)) is None
