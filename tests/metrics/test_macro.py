import numpy as np
import pytest
from sklearn.metrics import f1_score, recall_score

from mlcd_eval.metrics.macro import f1s, prepare_macro, recalls
from mlcd_eval.metrics.table import measure, metric_value


@pytest.mark.parametrize("seed", range(20))
def test_against_scikit_learn_with_classes_that_are_only_true_or_only_predicted(seed):
    r = np.random.default_rng(seed)
    labels, predictions = r.integers(0, 8, size=12), r.integers(0, 10, size=(12, 3))
    columns = {"label": labels.tolist(), "prediction": predictions.tolist()}
    for name, theirs in (("macro_recall", recall_score), ("macro_f1", f1_score)):
        expected = np.mean([theirs(labels, trial, average="macro", zero_division=0) for trial in predictions.T])
        assert metric_value(name, columns) == pytest.approx(expected, abs=1e-15)
        alone = {"label": labels, "prediction": predictions[:, 0]}
        one = theirs(labels, predictions[:, 0], average="macro", zero_division=0)
        assert metric_value(name, alone) == pytest.approx(one, abs=1e-15)


@pytest.mark.parametrize("seed", range(20))
def test_wilds_f1_is_over_the_true_classes(seed):
    """wilds/common/metrics/all_metrics.py at 2d2172d5's F1: sklearn's with the unique true labels."""
    r = np.random.default_rng(seed)
    labels, predictions = r.integers(0, 8, size=12), r.integers(0, 10, size=12)
    expected = f1_score(labels, predictions, average="macro", labels=np.unique(labels), zero_division=0)
    columns = {"label": labels, "prediction": predictions}
    assert metric_value("macro_f1_true", columns) == pytest.approx(expected, abs=1e-15)


def test_by_hand():
    """Class 0: 2 of 3 right; class 1: 1 of 1, predicted twice; class 2 is only predicted."""
    columns = {"label": [0, 0, 0, 1], "prediction": [0, 0, 2, 1]}
    assert metric_value("macro_recall", columns) == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert metric_value("macro_f1", columns) == pytest.approx((4 / 5 + 1 + 0) / 3)


@pytest.mark.parametrize("per_class", [recalls, f1s])
def test_rows_drawn_with_replacement_count_as_often_as_they_are_drawn(per_class):
    r = np.random.default_rng(0)
    labels, predictions = r.integers(0, 4, size=30), r.integers(0, 4, size=(30, 2))
    rows = r.integers(30, size=30)
    drawn = prepare_macro(per_class, predictions[rows], labels[rows])(None)
    assert prepare_macro(per_class, predictions, labels)(rows) == pytest.approx(drawn)


def test_undefined_of_no_samples():
    assert measure("macro_f1", {"label": [], "prediction": []}, seed=0).value is None
