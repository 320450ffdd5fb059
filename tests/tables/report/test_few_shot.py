"""The chart of few-shot curves."""

import numpy as np
import pytest
from conftest import make_result, metric
from scipy import stats

from mlcd_eval.tables.report.few_shot import few_shot_curves
from mlcd_eval.tables.report.html import report


def few(shots, draws, model="vit", task="linear_probe/demo", fewer=0, **settings):
    details = {"trials": [{"acc1": draw} for draw in draws]} if len(draws) > 1 else {}
    details |= {"classes_with_fewer_shots": fewer} if fewer else {}
    result = make_result(model, task, [metric("acc1", float(np.mean(draws)), (0.1, 0.9))], details=details)
    changed = result.task.model_copy(update={"settings": {"shots": shots, **settings}})
    return result.model_copy(update={"task": changed})


def test_a_line_per_model_with_the_interval_over_draws():
    draws = [0.50, 0.60, 0.55]
    results = [few(4, draws), few(1, [0.2, 0.4]), few(1, [0.3, 0.3], "<b>"), few(16, [0.7], fewer=3)]
    [chart] = few_shot_curves(results)
    assert chart.title == "linear_probe/demo: acc1" and chart.x.ticks == [1, 4, 16] and chart.x.scale == "log"
    vit, other = chart.series
    assert (vit.name, other.name) == ("vit", "<b>")
    low, high = stats.t.interval(0.95, 2, np.mean(draws), stats.sem(draws))
    assert [(point.x, point.y, point.note) for point in vit.points] == [
        (1, pytest.approx(0.3), "2 draws"),
        (4, pytest.approx(0.55), "3 draws"),
        (16, 0.7, "classes with fewer images: 3"),
    ]
    first, second, third = vit.points
    assert first.ci95 == pytest.approx((-0.9706, 1.5706), abs=1e-4)  # t of 12.706 times 0.1
    assert second.ci95 == pytest.approx((low, high)) and third.ci95 is None
    assert [point.ci95 for point in other.points] == [(0.3, 0.3)]


def test_what_was_measured_otherwise_has_a_chart_of_its_own():
    results = [few(shots, [0.2, 0.3], layer=layer) for shots in (1, 2) for layer in ("projected", "penultimate")]
    captions = [chart.title for chart in few_shot_curves(results)]
    assert captions == ["linear_probe/demo [layer=projected]: acc1", "linear_probe/demo: acc1"]


def test_one_number_of_shots_is_no_curve():
    results = [few(4, [0.2, 0.3]), few(8, [0.2, 0.3], task="linear_probe/other"), make_result()]
    assert few_shot_curves(results) == []
    undefined = few(2, [0.1]).model_copy(update={"metrics": (metric("acc1", None),)})
    assert few_shot_curves([*results, undefined]) == []
    assert "Few-shot curves" not in report(results) and "Few-shot curves" in report([*results, few(2, [0.1, 0.2])])
