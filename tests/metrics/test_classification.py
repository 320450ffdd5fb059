import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score, top_k_accuracy_score

from mlcd_eval.metrics.classification import (
    accuracy_at,
    classification_metric,
    classification_metrics,
    classification_outcomes,
    label_ranks,
    mean_per_class_recall,
    roc_auc,
    stacked,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_ranks_by_hand():
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3], [0.4, 0.4, 0.2], [0.4, 0.4, 0.2]])
    assert label_ranks(scores, np.array([1, 1, 0, 1])).tolist() == [1, 3, 1, 2]


def test_a_constant_scorer_knows_only_class_0():
    outcomes = classification_outcomes(np.zeros((10, 10)), np.arange(10))
    assert accuracy_at(1, outcomes) == 0.1
    assert accuracy_at(5, outcomes) == 0.5
    assert outcomes.predictions.tolist() == [0] * 10


def test_minus_infinity_is_never_found():
    scores = np.array([[-np.inf, 0.0, -5.0], [1.0, 0.0, -np.inf]])
    assert label_ranks(scores, np.array([0, 2])).tolist() == [4, 4]


def test_nan_has_no_rank():
    with pytest.raises(ValueError, match="NaN"):
        classification_outcomes(np.array([[0.0, np.nan]]), np.array([0]))


def test_against_scikit_learn():
    r = rng(1)
    labels = r.integers(7, size=300)
    scores = r.normal(size=(300, 7)) + np.eye(7)[labels]
    outcomes = classification_outcomes(scores, labels)
    for k in (1, 5):
        assert accuracy_at(k, outcomes) == pytest.approx(top_k_accuracy_score(labels, scores, k=k))
    assert classification_metric("mean_per_class_recall", outcomes) == pytest.approx(
        balanced_accuracy_score(labels, scores.argmax(1))
    )
    assert classification_metric("mean_top1_top5", outcomes) == pytest.approx(
        (top_k_accuracy_score(labels, scores, k=1) + top_k_accuracy_score(labels, scores, k=5)) / 2
    )


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


def test_mean_per_class_recall_leaves_out_a_class_without_samples():
    labels, predictions = np.array([0, 0, 0, 2]), np.array([0, 0, 1, 2])
    assert mean_per_class_recall(predictions, labels) == pytest.approx((2 / 3 + 1) / 2)
    assert mean_per_class_recall(np.array([], dtype=int), np.array([], dtype=int)) is None


def test_chunks_and_order_do_not_matter():
    r = rng(2)
    labels, scores = r.integers(2, size=50), r.normal(size=(50, 2))
    whole = classification_outcomes(scores, labels)
    parts = classification_outcomes(iter([scores[:7], scores[7:20], scores[20:]]), labels)
    assert np.array_equal(whole.ranks, parts.ranks) and np.array_equal(whole.contrast, parts.contrast)
    order = r.permutation(50)
    shuffled = classification_outcomes(scores[order], labels[order])
    for name in ("acc1", "mean_per_class_recall", "roc_auc"):
        assert classification_metric(name, whole) == pytest.approx(classification_metric(name, shuffled))


def test_metrics_of_few_classes_are_undefined_not_zero():
    metrics = {m.name: m for m in classification_metrics(classification_outcomes(np.eye(4), np.arange(4)), rng(), 3)}
    assert metrics["acc5"].value is None and metrics["acc5"].ci95 is None
    assert metrics["mean_top1_top5"].value is None
    assert metrics["acc1"].value == 1.0 and metrics["acc1"].ci95 == (1.0, 1.0)
    assert metrics["acc1"].num_scored == 4 and metrics["acc1"].num_unscored == 3
    assert "roc_auc" not in metrics


def test_intervals_hold_the_value():
    r = rng(3)
    labels = r.integers(2, size=200)
    scores = r.normal(size=(200, 2)) + np.eye(2)[labels]
    for metric in classification_metrics(classification_outcomes(scores, labels), rng()):
        if metric.value is not None:
            low, high = metric.ci95
            assert low < metric.value < high
            assert high - low < 0.2


def test_trials_are_averaged():
    r = rng(4)
    labels = r.integers(2, size=100)
    trials = [classification_outcomes(r.normal(size=(100, 2)) + np.eye(2)[labels], labels) for _ in range(3)]
    metrics = {m.name: m for m in classification_metrics(stacked(trials), rng())}
    for name in ("acc1", "mean_per_class_recall", "roc_auc"):
        assert metrics[name].value == pytest.approx(np.mean([classification_metric(name, trial) for trial in trials]))
        assert metrics[name].ci95[0] < metrics[name].value < metrics[name].ci95[1]
    one = {m.name: m for m in classification_metrics(trials[0], rng())}
    same = {m.name: m for m in classification_metrics(stacked([trials[0]] * 2), rng())}
    assert one == same
