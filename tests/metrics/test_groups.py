"""DataComp's main metrics over groups, against what its own evaluators gave on the same samples."""

import numpy as np
import pytest

from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.metrics.table import measure, metric_value

EVALUATED = {
    "worst_group_acc1": 0.3207547068595886,  # EVALUATORS["wilds/fmow"]: acc_worst_region, and GeoDE's acc_wg
    "worst_group_acc5": 0.796875,  # EVALUATORS["fairness/dollar_street"]: acc_top5_wg
    "macro_f1_true": 0.4297328591346741,  # EVALUATORS["wilds/iwildcam"]: F1-macro_all
    "acc1": 0.38749998807907104,  # EVALUATORS["wilds/camelyon17"]: acc_avg
}
"""Run on `samples` with eval_utils/{wilds,fairness}_eval.py of DataComp at 4a8df199 (MIT) and wilds at its newest
commit, whose results are float32."""


def samples():
    """400 samples of 9 of 12 classes in regions 0, 1, 2, 3 and 5."""
    rng = np.random.default_rng(27)
    labels = rng.integers(0, 9, size=400)
    scores = rng.normal(size=(400, 12))
    scores[np.arange(400), labels] += rng.random(400) * 2.5
    region = rng.integers(0, 6, size=400)
    region[region == 4] = 1
    region[:3] = 5
    return classification_samples(scores, labels) | {"group": [str(number) for number in region]}


@pytest.mark.parametrize("name", EVALUATED)
def test_values_are_those_of_datacomps_evaluators(name):
    assert metric_value(name, samples()) == pytest.approx(EVALUATED[name], abs=1e-7)


def test_a_group_of_few_samples_decides_by_hand():
    """Group b has 1 of 2 among the five best; DataComp counts FMoW's region Other, which has 4 images."""
    columns = {"group": list("aaabb"), "rank": [1, 5, 4, 6, 2], "correct": [1.0, 0, 0, 0, 0]}
    assert metric_value("worst_group_acc5", columns) == 1 / 2 and metric_value("worst_group_acc1", columns) == 0
    assert measure("worst_group_acc5", columns, seed=0, defined=False).value is None
