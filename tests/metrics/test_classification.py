import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, top_k_accuracy_score

from mlcd_eval.metrics.classification import (
    classification_samples,
    label_ranks,
    mean_over_classes,
    over_trials,
    roc_auc,
)
from mlcd_eval.metrics.table import measure, metric_value


def rng(seed=0):
    return np.random.default_rng(seed)


def draw(seed, n, c):
    r = rng(seed)
    labels = r.integers(c, size=n)
    return r.normal(size=(n, c)) + np.eye(c)[labels], labels


def test_ranks_by_hand():
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2]])
    assert label_ranks(scores, np.array([1, 1, 0, 1])).tolist() == [1, 3, 1, 2]


def test_a_constant_scorer_knows_only_class_0():
    columns = classification_samples(np.zeros((10, 10)), np.arange(10))
    assert metric_value("acc1", columns) == 0.1
    assert metric_value("acc5", columns) == 0.5
    assert columns["prediction"].tolist() == [0] * 10 and columns["correct"].tolist() == [1.0] + [0.0] * 9


def test_a_true_class_of_minus_infinity_comes_after_the_last():
    scores = np.array([[-np.inf, 0.0, -5.0], [1.0, 0.0, -np.inf]])
    assert label_ranks(scores, np.array([0, 2])).tolist() == [4, 4]


def test_nan_has_no_rank():
    with pytest.raises(ValueError, match="NaN"):
        classification_samples(np.array([[0.0, np.nan]]), np.array([0]))


def test_against_scikit_learn():
    scores, labels = draw(1, 300, 7)
    columns = classification_samples(scores, labels)
    top1, top5 = (top_k_accuracy_score(labels, scores, k=k) for k in (1, 5))
    assert metric_value("acc1", columns) == pytest.approx(top1)
    assert metric_value("acc5", columns) == pytest.approx(top5)
    assert metric_value("mean_top1_top5", columns) == pytest.approx((top1 + top5) / 2)
    balanced = balanced_accuracy_score(labels, scores.argmax(1))
    assert metric_value("mean_per_class_recall", columns) == pytest.approx(balanced)


@pytest.mark.parametrize("seed", range(5))
def test_roc_auc_with_ties_against_scikit_learn(seed):
    r = rng(seed)
    scores, labels = r.integers(6, size=80) / 5, r.integers(2, size=80)
    assert roc_auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)


def test_roc_auc_by_hand():
    assert roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0, 0, 1, 1])) == 0.75
    assert roc_auc(np.ones(4), np.array([0, 0, 1, 1])) == 0.5
    assert roc_auc(np.arange(3.0), np.ones(3, dtype=int)) is None
    assert roc_auc(np.array([]), np.array([], dtype=int)) is None


def test_mean_over_classes_leaves_out_a_class_without_samples():
    labels, correct = np.array([0, 0, 0, 2]), np.array([1.0, 1.0, 0.0, 1.0])
    assert mean_over_classes(correct, labels) == pytest.approx((2 / 3 + 1) / 2)
    assert mean_over_classes(np.array([]), np.array([], dtype=int)) is None


def test_chunks_and_order_do_not_matter():
    scores, labels = draw(2, 50, 2)
    whole = classification_samples(scores, labels)
    parts = classification_samples(iter([scores[:7], scores[7:20], scores[20:]]), labels)
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)
    order = rng().permutation(50)
    shuffled = classification_samples(scores[order], labels[order])
    for name in ("acc1", "mean_per_class_recall", "roc_auc"):
        assert metric_value(name, whole) == pytest.approx(metric_value(name, shuffled))


def test_only_two_classes_have_a_contrast():
    scores, labels = draw(3, 20, 2)
    assert classification_samples(scores, labels)["contrast"] == pytest.approx(scores[:, 1] - scores[:, 0])
    assert "contrast" not in classification_samples(*draw(3, 20, 3))


def test_intervals_hold_the_value():
    columns = classification_samples(*draw(3, 200, 2))
    for name in ("acc1", "mean_per_class_recall", "roc_auc"):
        metric = measure(name, columns, seed=0)
        low, high = metric.ci95
        assert low < metric.value < high
        assert high - low < 0.2


def test_trials_are_averaged():
    r = rng(4)
    labels = r.integers(2, size=100)
    trials = [classification_samples(r.normal(size=(100, 2)) + np.eye(2)[labels], labels) for _ in range(3)]
    columns = over_trials(trials)
    assert columns["rank"].shape == (100, 3) and columns["label"].shape == (100,)
    assert columns["correct"] == pytest.approx(np.mean([trial["correct"] for trial in trials], axis=0))
    for name in ("acc1", "mean_per_class_recall", "roc_auc", "mean_top1_top5"):
        metric = measure(name, columns, seed=0)
        assert metric.value == pytest.approx(np.mean([metric_value(name, trial) for trial in trials]))
        assert metric.ci95[0] <= metric.value <= metric.ci95[1]
        assert measure(name, over_trials([trials[0]] * 2), seed=0) == measure(name, trials[0], seed=0)


@pytest.mark.parametrize("classes", [2, 5])
def test_scores_as_tensors_give_the_same_columns(classes):
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(4, size=(60, classes)).astype(float), rng.integers(classes, size=60)
    if classes > 2:
        scores[:20] = np.where(scores[:20] < 2, -np.inf, scores[:20])
    expected = classification_samples(scores, labels)
    columns = classification_samples(iter(torch.tensor(scores).split(7)), labels)
    assert columns.keys() == expected.keys()
    assert all(np.array_equal(columns[name], expected[name], equal_nan=True) for name in expected)
    scores[33, 1] = np.nan
    with pytest.raises(ValueError, match="hold NaN"):
        classification_samples([torch.tensor(scores)], labels)
