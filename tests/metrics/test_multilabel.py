import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from mlcd_eval.metrics.multilabel import Rankings, mean_average_precision, multilabel_samples, one_hot
from mlcd_eval.metrics.table import MULTILABEL, measure, metric_value

POINTS = {"map": None, "map_11point": 11}


def rng(seed=0):
    return np.random.default_rng(seed)


def multilabel_metric(name, scores, labels):
    return mean_average_precision(scores, labels, POINTS[name])


def draw(seed, n=120, c=6, levels=None):
    r = rng(seed)
    labels = (r.random((n, c)) < 0.2).astype(int)
    labels[0], labels[1] = 1, 0
    scores = r.normal(size=(n, c)) + labels
    return (np.round(scores * levels) / levels if levels else scores), labels


def voc_11point(scores, labels):
    """VOCap of the VOC2007 development kit, word for word; ties taken together."""
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(labels[order])
    fp = np.cumsum(1 - labels[order])
    cut = np.r_[scores[order][1:] != scores[order][:-1], True]
    rec, prec = (tp / labels.sum())[cut], (tp / (tp + fp))[cut]
    ap = 0.0
    for t in range(11):
        p = prec[rec >= t / 10 - 1e-12]
        ap += (p.max() if len(p) else 0.0) / 11
    return ap


def test_by_hand():
    scores, labels = np.array([[0.9], [0.8], [0.7], [0.6]]), np.array([[1], [0], [1], [0]])
    assert multilabel_metric("map", scores, labels) == pytest.approx((1 + 2 / 3) / 2)
    # recall 0.5 at precision 1, recall 1 at precision 2/3: six points of 1, five of 2/3
    assert multilabel_metric("map_11point", scores, labels) == pytest.approx((6 + 5 * 2 / 3) / 11)


@pytest.mark.parametrize("levels", [None, 2])
@pytest.mark.parametrize("seed", range(3))
def test_against_scikit_learn_and_voc(seed, levels):
    scores, labels = draw(seed, levels=levels)
    assert multilabel_metric("map", scores, labels) == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    expected = np.mean([voc_11point(scores[:, c], labels[:, c]) for c in range(labels.shape[1])])
    assert multilabel_metric("map_11point", scores, labels) == pytest.approx(expected, abs=1e-12)


def test_recall_of_exactly_a_tenth_counts():
    labels = np.zeros((20, 1), dtype=int)
    labels[[0, 5, 7, 9, 10, 11, 12, 13, 14, 19]] = 1  # ten positives: recall 0.3 is 3 of 10
    scores = -np.arange(20.0)[:, None]
    assert multilabel_metric("map_11point", scores, labels) == pytest.approx(voc_11point(scores[:, 0], labels[:, 0]))


@pytest.mark.parametrize("levels", [None, 2])
def test_weights_are_repetitions(levels):
    scores, labels = draw(7, levels=levels)
    rows = rng(8).integers(len(scores), size=len(scores))
    weights = np.bincount(rows, minlength=len(scores)).astype(float)
    rankings = Rankings(scores, labels)
    for points, name in ((None, "map"), (11, "map_11point")):
        assert rankings.mean_average_precision(weights, points) == pytest.approx(
            multilabel_metric(name, scores[rows], labels[rows])
        )


def test_a_constant_scorer_scores_the_share_of_positives():
    labels = np.array([[1], [0], [0], [0]])
    assert multilabel_metric("map", np.zeros((4, 1)), labels) == 0.25
    assert multilabel_metric("map_11point", np.zeros((4, 1)), labels) == 0.25


def test_order_of_samples_and_classes_does_not_matter():
    scores, labels = draw(9, levels=2)
    rows, columns = rng(1).permutation(len(scores)), rng(2).permutation(scores.shape[1])
    for name in ("map", "map_11point"):
        assert multilabel_metric(name, scores[rows][:, columns], labels[rows][:, columns]) == pytest.approx(
            multilabel_metric(name, scores, labels)
        )


def test_a_class_without_positives_is_left_out():
    scores, labels = draw(3)
    labels[:, 2] = 0
    others = [0, 1, 3, 4, 5]
    assert multilabel_metric("map", scores, labels) == pytest.approx(
        average_precision_score(labels[:, others], scores[:, others])
    )


def test_nothing_to_rank_is_undefined():
    assert multilabel_metric("map", np.zeros((0, 3)), np.zeros((0, 3), dtype=int)) is None
    assert multilabel_metric("map_11point", np.zeros((4, 3)), np.zeros((4, 3), dtype=int)) is None


def test_nan_has_no_rank():
    with pytest.raises(ValueError, match="NaN"):
        multilabel_metric("map", np.array([[np.nan]]), np.array([[1]]))


@pytest.mark.parametrize("levels", [None, 2])
def test_the_columns_of_samples_hold_all_that_the_metrics_need(levels):
    scores, labels = draw(4, levels=levels)
    columns = multilabel_samples(scores, labels)
    assert np.array_equal(one_hot(columns["label"], 6), labels)
    for name in MULTILABEL:
        assert metric_value(name, columns) == multilabel_metric(name, scores, labels)  # to the last bit
        metric = measure(name, columns, seed=0, num_unscored=2)
        assert metric.ci95[0] < metric.value < metric.ci95[1]
        assert (metric.num_scored, metric.num_unscored) == (120, 2)


def test_nan_has_no_place():
    with pytest.raises(ValueError, match="NaN"):
        multilabel_samples(np.array([[np.nan]]), np.array([[1]]))
