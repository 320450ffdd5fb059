"""Accuracy under corruptions, mCE and groups, by hand."""

import numpy as np
import pytest

from mlcd_eval.data.alterations.names import CORRUPTIONS
from mlcd_eval.metrics.corruption import ALEXNET
from mlcd_eval.metrics.groups import prepare_groups, worst
from mlcd_eval.metrics.table import measure, metric_value


def rng(seed=0):
    return np.random.default_rng(seed)


def test_alexnets_errors_are_those_of_the_fifteen():
    assert tuple(ALEXNET) == CORRUPTIONS
    rounded = [88.6, 89.4, 92.3, 82.0, 82.6, 78.6, 79.8, 86.7, 82.7, 81.9, 56.5, 85.3, 64.6, 71.8, 60.7]
    assert [100 * error for error in ALEXNET.values()] == pytest.approx(rounded, abs=0.06)


def test_mce_is_the_mean_over_corruptions_of_errors_over_alexnets():
    columns = {f"correct@{name}": (rng(place).random((50, 5)) < 0.6) * 1.0 for place, name in enumerate(CORRUPTIONS)}
    errors = [1 - columns[f"correct@{name}"].mean() for name in CORRUPTIONS]
    expected = np.mean([error / ALEXNET[name] for error, name in zip(errors, CORRUPTIONS, strict=True)])
    assert metric_value("mce_alexnet", columns) == pytest.approx(100 * expected, abs=1e-9)
    assert metric_value("corrupted_acc1", columns) == pytest.approx(1 - np.mean(errors), abs=1e-9)
    assert metric_value("corrupted_acc1@fog", columns) == pytest.approx(1 - errors[CORRUPTIONS.index("fog")], abs=1e-9)
    alexnet = {f"correct@{name}": np.full((1, 5), 1 - error) for name, error in ALEXNET.items()}
    assert metric_value("mce_alexnet", alexnet) == pytest.approx(100, abs=1e-9)
    del columns["correct@fog"]
    with pytest.raises(KeyError, match="correct@fog"):
        metric_value("mce_alexnet", columns)
    with pytest.raises(KeyError):
        metric_value("corrupted_acc1", {"correct": [1.0]})


def test_worst_group_and_gap():
    columns = {"group": ["a", "a", "b", "b", "b", "b", "c"], "correct": [1.0, 1, 1, 0, 0, 0, 1]}
    assert metric_value("worst_group_acc1", columns) == 1 / 4
    assert metric_value("group_gap", columns) == pytest.approx(4 / 7 - 1 / 4)
    resampled = prepare_groups(worst, np.array([[0, 1.0], [0, 0.0], [3, 1.0]]))
    assert resampled(np.array([0, 0, 2])) == 1 and resampled(np.array([], dtype=int)) is None
    many = {"group": rng().integers(4, size=400).astype(str), "correct": (rng(1).random(400) < 0.7) * 1.0}
    metric = measure("worst_group_acc1", many, seed=0)
    assert metric.ci95[0] < metric.value < metric.ci95[1]
