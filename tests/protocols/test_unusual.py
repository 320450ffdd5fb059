"""Unusual data, protocol by protocol, as docs/robustness.md describes it. What is refused has its sentence."""

import numpy as np
import pytest
from protocol_inputs import features, text_encoder, values

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification.knn import KNN, KNNSettings
from mlcd_eval.protocols.classification.linear_probe import LinearProbe, LinearProbeSettings
from mlcd_eval.protocols.classification.zeroshot import ZeroShot, ZeroShotSettings
from mlcd_eval.protocols.retrieval.protocol import Retrieval
from mlcd_eval.protocols.retrieval.settings import RetrievalSettings

TEXTS = {"cat": [1, 0, 0], "dog": [0, 1, 0], "emu": [0, 0, 1]}
NAMES = list(TEXTS)


def draw(count=30, classes=3):
    labels = np.arange(count) % classes
    return np.eye(3)[labels] + 0.1 * np.random.default_rng(0).normal(size=(count, 3)), labels


def learn(protocol, settings, test, test_labels, train=None):
    array, labels = train or draw()
    return protocol().score(settings, Inputs({"train": features(array, labels), "test": features(test, test_labels)}))


def probe(test, labels, train=None):
    return learn(LinearProbe, LinearProbeSettings(lambda_=0.1), test, labels, train)


def knn(test, labels, train=None, ks=(1, 5)):
    return learn(KNN, KNNSettings(ks=ks), test, labels, train)


def zeroshot(test, labels, names=NAMES):
    inputs = Inputs({"test": features(test, labels)}, text_encoder(TEXTS), class_names=names, templates=["{c}"])
    return ZeroShot().score(ZeroShotSettings(), inputs)


def retrieval(array, texts, ks=(1, 5)):
    return Retrieval().score(
        RetrievalSettings(ks=ks), Inputs({"test": features(array, texts=texts)}, text_encoder(TEXTS))
    )


SCORED = {
    "linear_probe": probe,
    "knn": knn,
    "zeroshot": zeroshot,
    "retrieval": lambda array, labels: retrieval(array, [(NAMES[label],) for label in labels]),
}


@pytest.mark.parametrize("name", SCORED)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_no_numbers_are_refused_with_their_sample(name, value):
    array, labels = draw()
    array[[4, 9], 1] = value
    with pytest.raises(DataError, match=r"not finite: got NaN or infinity in 2 of 30 rows, first that of 'im4'"):
        SCORED[name](array, labels)


def test_a_zero_vector_is_like_nothing_and_a_tie_never_helps():
    """All is equally similar, and of equals the first comes first: a class, an image, a caption."""
    zero = np.zeros((3, 3))
    for scores in (zeroshot(zero, [0, 1, 2]), knn(zero, [0, 1, 2])):
        assert scores.samples["prediction"] == [0, 0, 0]
        assert scores.metrics[0].value == pytest.approx(1 / 3)
    assert retrieval(zero, [("cat",), ("dog",), ("emu",)]).samples["rank"] == [1, 2, 3] * 2
    train, labels = draw(31)  # class 0 is the largest
    assert probe(zero, [0, 1, 2], (train * 0, labels)).samples["prediction"] == [0, 0, 0]
    assert np.isfinite(values(probe(zero, [0, 1, 2]))["acc1"])


def test_one_class_only():
    array, labels = draw()
    with pytest.raises(
        IncompatibleError, match="needs two classes to tell apart: got 30 train samples, all of class 0"
    ):
        probe(array, labels, (array, labels * 0))
    assert values(knn(array, labels * 0, (array, labels * 0)))["knn_acc1@1"] == 1.0
    assert values(zeroshot(array, labels * 0, ["cat"])) == {
        "acc1": 1.0,
        "acc5": None,
        "mean_per_class_recall": 1.0,
        "mean_top1_top5": None,
    }


@pytest.mark.parametrize("score", [probe, knn])
def test_a_class_without_train_samples_is_scored_as_wrong(score):
    array, labels = draw()
    known = labels != 2
    scores = score(array, labels, (array[known], labels[known]))
    correct = np.array(scores.samples["correct"])
    assert correct[known].all() and not correct[~known].any()
    assert scores.metrics[0].num_scored == 30


def test_a_class_without_test_samples_does_not_count_in_means_of_classes():
    array, labels = draw()
    some = labels != 2
    for score in (probe, zeroshot):
        assert values(score(array[some], labels[some]))["mean_per_class_recall"] == 1.0


def test_repeated_class_names_are_reported_with_their_classes_and_cannot_be_told_apart():
    array, labels = draw()
    with pytest.warns(UserWarning, match=r"class names that occur more than once \(name: classes\): {'cat': \[0, 2\]}"):
        scores = zeroshot(array, labels, ["cat", "dog", "cat"])
    assert scores.details["repeated_class_names"] == {"cat": [0, 2]}
    assert not (np.array(scores.samples["prediction"]) == 2).any()


def test_blank_captions_are_left_out_and_counted():
    scores = retrieval(np.eye(3), [("cat", " "), ("",), ("emu",)], ks=(1,))
    assert scores.details["num_texts"] == 2
    assert [(metric.num_scored, metric.num_unscored) for metric in scores.metrics[:2]] == [(2, 0), (2, 1)]
    with pytest.raises(DataError, match="cannot be searched: got 0 captions, expected at least 1"):
        retrieval(np.eye(3), [("",)] * 3)


def test_fewer_items_than_k():
    """Accuracy among more classes than exist, and of more neighbours than train images, is undefined; in a gallery
    smaller than K every query succeeds."""
    array, labels = draw(12)
    by_knn = values(knn(array, labels, (array[:4], labels[:4]), ks=(1, 5)))
    assert by_knn["knn_acc1@5"] is None and by_knn["knn_acc1@1"] == 1.0
    assert values(zeroshot(array, labels))["acc5"] is None
    assert values(probe(array, labels))["acc5"] is None
    assert values(retrieval(np.eye(3), [("dog",), ("cat",), ("cat",)], ks=(1, 10)))["text_to_image_recall@10"] == 1.0
