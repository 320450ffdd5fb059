"""The chart of few-shot curves."""

import re

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
    [figure] = few_shot_curves(results)
    assert figure.caption == "linear_probe/demo: acc1"
    assert [name for _, name in figure.legend] == ["vit", "<b>"]
    svg = str(figure.svg)
    assert "&lt;b&gt;" in svg and "<b>" not in svg
    low, high = stats.t.interval(0.95, 2, np.mean(draws), stats.sem(draws))
    assert re.findall("<title>(.*?)</title>", svg) == [
        "shots=1: 30.00 [-97.1, 157.1], 2 draws",
        f"shots=4: 55.00 [{100 * low:.1f}, {100 * high:.1f}], 3 draws",
        "shots=16: 70.00, classes with fewer images: 3",
        "shots=1: 30.00 [30.0, 30.0], 2 draws",
    ]
    x = [float(place) for place in re.findall(r'<circle cx="([\d.]+)"', svg)]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)  # 1, 4 and 16 are equally far apart
    heights = [float(place) for place in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', svg)]
    assert heights[2] < heights[1] < heights[0] == heights[3]  # pixels run down


def test_what_was_measured_otherwise_has_a_chart_of_its_own():
    results = [few(shots, [0.2, 0.3], layer=layer) for shots in (1, 2) for layer in ("projected", "penultimate")]
    captions = [figure.caption for figure in few_shot_curves(results)]
    assert captions == ["linear_probe/demo [layer=projected]: acc1", "linear_probe/demo: acc1"]


def test_one_number_of_shots_is_no_curve():
    results = [few(4, [0.2, 0.3]), few(8, [0.2, 0.3], task="linear_probe/other"), make_result()]
    assert few_shot_curves(results) == []
    assert "Few-shot curves" not in report(results) and "Few-shot curves" in report([*results, few(2, [0.1, 0.2])])
