"""Against mteb's statement of image clustering in plain scikit-learn and scipy."""

from itertools import permutations

import numpy as np
import pytest
from protocol_inputs import features, mixture, rng, values
from sklearn import metrics
from sklearn.cluster import MiniBatchKMeans

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.clustering import Clustering, ClusteringSettings, matched


def score(part, seed=0, **settings):
    return Clustering().score(ClusteringSettings(**settings), Inputs({"test": part}, seed=seed))


def mteb(part, **options):
    """ClusteringEvaluator and AbsTaskClusteringLegacy._compute_metrics."""
    options = {"batch_size": 500, "random_state": 42, **options}
    clusters = MiniBatchKMeans(len(set(part.labels.tolist())), n_init="auto", **options).fit(part.array).labels_
    return clusters.tolist(), {
        "nmi": metrics.normalized_mutual_info_score(part.labels, clusters),
        "ari": metrics.adjusted_rand_score(part.labels, clusters),
    }


@pytest.mark.parametrize(("n", "classes"), [(40, 2), (300, 6), (1300, 12)])
def test_clusters_and_values_are_those_of_mteb(n, classes):
    (part,) = mixture(n, sizes=(n,), c=classes)
    scores, (clusters, expected) = score(part), mteb(part)
    assert scores.samples["cluster"] == clusters
    assert {name: values(scores)[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert scores.primary == "nmi" and scores.details["num_clusters"] == classes


def test_options_are_those_of_the_library():
    (part,) = mixture(1, sizes=(400,), c=5)
    for options in ({"batch_size": 50}, {"random_state": 7}):
        assert score(part, **options).samples["cluster"] == mteb(part, **options)[0]


def test_normalised_features_have_unit_length():
    (part,) = mixture(2, sizes=(300,))
    unit = features(part.array / np.linalg.norm(part.array, axis=1, keepdims=True), part.labels)
    stretched = features(unit.array * np.exp2(rng().integers(-3, 4, (300, 1))), part.labels)
    assert score(stretched, normalise=True).samples["cluster"] == mteb(unit)[0]


def test_accuracy_is_that_of_the_best_of_all_matches():
    r = rng(3)
    labels, clusters = r.integers(5, size=60), r.integers(5, size=60)
    best = max(np.mean(np.array(order)[clusters] == labels) for order in permutations(range(5)))
    assert np.mean(matched(labels, clusters) == labels) == best


def test_a_cluster_too_many_is_matched_to_no_class():
    assert matched(np.array([0, 0, 2, 2, 2]), np.array([1, 1, 0, 0, 3])).tolist() == [0, 0, 2, 2, -1]


def test_intervals_and_samples():
    (part,) = mixture(4, sizes=(200,))
    scores = score(features(part.array, part.labels, bad=["broken"]))
    for metric in scores.metrics:
        assert metric.ci95[0] < metric.value < metric.ci95[1] and (metric.num_scored, metric.num_unscored) == (200, 1)
    assert values(scores)["cluster_accuracy"] == pytest.approx(np.mean(scores.samples["correct"]))
    other = score(part, seed=1)
    assert other.samples == scores.samples and values(other) == values(scores)


def test_classes_that_the_split_lacks_get_no_cluster():
    (part,) = mixture(5, sizes=(100,), c=3)
    labels = np.array([2, 50, 997])[part.labels]
    scores = score(features(part.array, labels))
    assert scores.details["num_clusters"] == 3 and set(scores.samples["cluster"]) == {0, 1, 2}
    assert values(scores) == values(score(part))


def test_one_class_is_refused():
    with pytest.raises(DataError, match="got 4 images, all of class 3, expected at least two classes"):
        score(features(rng().normal(size=(4, 3)), [3, 3, 3, 3]))


def test_the_split_that_is_read():
    assert Clustering().requests(ClusteringSettings(split="val"), ["train", "val"])["test"].split == "val"
    with pytest.raises(IncompatibleError, match="clustering reads the split 'test': got train, val"):
        Clustering().requests(ClusteringSettings(), ["train", "val"])
