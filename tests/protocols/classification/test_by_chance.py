"""Random predictions against formulas, where there are some."""

import numpy as np
import pytest

from mlcd_eval.protocols.classification.by_chance import by_chance


def test_of_metrics_with_a_formula_nothing_is_drawn():
    labels = np.arange(20) % 4
    for metric in ("acc1", "mean_per_class_recall", "roc_auc"):
        assert by_chance(metric, labels, 4, 0) == {}


def test_one_label():
    rng = np.random.default_rng(0)
    labels, groups = np.repeat(np.arange(4), (100, 300, 600, 1000)), rng.choice(["a", "b"], size=2000).tolist()
    share = np.array([100, 300, 600, 1000]) / 2000
    precision, recall = share, 1 / 4
    expected = (2 * precision * recall / (precision + recall)).mean()
    (name, value), *rest = by_chance("macro_f1_true", labels, 4, 0)["chance"].items()
    assert (name, rest) == ("macro_f1_true", []) and value == pytest.approx(expected, abs=0.02)
    worst = by_chance("worst_group_acc1", labels, 4, 0, groups)["chance"]["worst_group_acc1"]
    assert 0.2 < worst < 0.25  # the worse of two groups of about 1,000
    assert by_chance("worst_group_acc1", labels, 4, 0, groups)["chance"]["worst_group_acc1"] == worst


def test_several_labels():
    labels = (np.random.default_rng(1).random((3000, 3)) < (0.1, 0.2, 0.5)).astype(np.int64)
    assert by_chance("map", labels, 3, 0)["chance"]["map"] == pytest.approx(labels.mean(), abs=0.02)
    assert by_chance("map_11point", labels, 3, 0)["chance"]["map_11point"] >= labels.mean() - 0.01
