import numpy as np
import pytest
from protocol_inputs import features, mixture, rng, values
from pydantic import ValidationError

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification import knn
from mlcd_eval.protocols.classification.knn import KNN, KNNSettings, nearest


def draw(seed=0, n=90, c=6):
    return mixture(seed, sizes=(n, 40), c=c)


def score(train, test, **settings):
    return KNN().score(KNNSettings(**settings), Inputs({"train": train, "test": test}))


def dino(train, test, k, temperature=0.07):
    """eval_knn.py, one image at a time: the classes in order of votes, and the votes."""
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    for row in unit(test.array.astype(np.float64)):
        similarity = unit(train.array.astype(np.float64)) @ row
        near = np.argsort(-similarity, kind="stable")[:k]
        votes = np.zeros(6)
        for i in near:
            votes[train.labels[i]] += np.exp(similarity[i] / temperature)
        yield np.argsort(-votes, kind="stable"), votes


@pytest.mark.parametrize("k", [1, 10, 50])
def test_against_dino(k):
    train, test = draw()
    top1 = top5 = 0
    for (order, votes), label in zip(dino(train, test, k), test.labels, strict=True):
        top1 += order[0] == label
        top5 += label in order[:5] and votes[label] > 0
    got = values(score(train, test, ks=(k,)))
    assert got[f"knn_acc1@{k}"] == pytest.approx(top1 / len(test.labels))
    assert got[f"knn_acc5@{k}"] == pytest.approx(top5 / len(test.labels))


def test_a_low_temperature_does_not_overflow():
    """The nearest neighbours' votes tell, as in logarithms; exp(1 / 0.0005) is no float64."""
    train, test = draw(8)
    unit = lambda x: x / np.linalg.norm(x, axis=1, keepdims=True)  # noqa: E731
    similarity = unit(test.array.astype(np.float64)) @ unit(train.array.astype(np.float64)).T
    near = np.argsort(-similarity, axis=1, kind="stable")[:, :10]
    log_votes = np.full((len(near), 6), -np.inf)
    for row, neighbours in enumerate(near):
        for i in neighbours:
            column = train.labels[i]
            log_votes[row, column] = np.logaddexp(log_votes[row, column], similarity[row, i] / 0.0005)
    got = score(train, test, ks=(10,), temperature=0.0005)
    assert got.samples["prediction"] == log_votes.argmax(axis=1).tolist()


def test_tiles_do_not_matter(monkeypatch):
    train, test = draw(1)
    train.array[40:45] = train.array[3]  # ties, across tiles too
    whole, metrics = nearest(train.array, test.array, 20), values(score(train, test))
    monkeypatch.setitem(knn._TILE, "cpu", (7, 11))
    monkeypatch.setattr(knn, "_VOTES", 13)
    tiled = nearest(train.array, test.array, 20)
    assert whole[0] == pytest.approx(tiled[0], abs=1e-6)
    assert values(score(train, test)) == metrics


@pytest.mark.parametrize("tile", [(3, 5), (512, 512)])
def test_equal_similarities_in_the_order_of_train(monkeypatch, tile):
    monkeypatch.setitem(knn._TILE, "cpu", tile)
    train = np.tile(np.eye(4, dtype=np.float32)[:2], (8, 1))  # rows 0, 2, 4, ... are one direction
    similarity, rows = nearest(train, np.eye(4, dtype=np.float32)[1:2], 10)
    assert rows[0].tolist() == [1, 3, 5, 7, 9, 11, 13, 15, 0, 2]
    assert similarity[0].tolist() == [1] * 8 + [0] * 2


@pytest.mark.parametrize("num_test", [1, 2, 3, 5, 513])
@pytest.mark.parametrize("num_train", [5, 37, 100])
def test_equal_train_rows_are_equally_similar(num_train, num_test):
    """Whatever the shape of the last tile: a product of few rows may round them differently."""
    train, test = rng(0).normal(size=(1, 768)).repeat(num_train, axis=0), rng(1).normal(size=(num_test, 768))
    similarity, rows = nearest(train, test, num_train)
    assert (similarity == similarity[:, :1]).all()
    assert (rows == np.arange(num_train)).all()


def test_length_of_features_does_not_matter():
    train, test = draw(2)
    scaled = features(train.array * 10 ** rng().uniform(-22, 20, (len(train.array), 1)), train.labels)
    assert values(score(train, test)) == values(score(scaled, test))


def test_one_neighbour_of_a_training_set_is_itself():
    train, _ = draw(3)
    assert values(score(train, train, ks=(1,)))["knn_acc1@1"] == 1.0


def test_a_zero_vector_is_similar_to_nothing():
    train = features(np.eye(4), [0, 1, 2, 3])
    scores = score(train, features(np.zeros((1, 4)), [2]), ks=(2, 4))
    assert scores.samples["prediction"] == [0]  # every similarity 0: train's order, and of equal votes the lowest class
    assert values(scores)["knn_acc1@2"] == 0.0


def test_a_class_without_a_vote_is_not_among_the_five():
    train = features(np.eye(6), [5, 5, 5, 5, 5, 0])
    got = values(score(train, features(np.eye(6)[:1], [0]), ks=(1,)))
    assert got == {"knn_acc1@1": 0.0, "knn_acc5@1": 0.0}


def test_more_neighbours_than_images_is_undefined():
    train, test = draw(4, n=15)
    scores = score(train, test, ks=(10, 20))
    assert scores.primary == "knn_acc1@20"
    got = values(scores)
    assert got["knn_acc1@10"] > 0 and got["knn_acc1@20"] is None and got["knn_acc5@20"] is None
    assert "prediction" not in scores.samples


def test_metrics_and_samples():
    train, test = draw(5)
    scores = score(train, Features(test.array, test.keys, test.labels, bad=["broken"]))
    assert scores.primary == "knn_acc1@20"
    (metric,) = [m for m in scores.metrics if m.name == scores.primary]
    assert (metric.num_scored, metric.num_unscored) == (40, 1)
    assert metric.ci95[0] < metric.value < metric.ci95[1]
    assert np.mean(scores.samples["correct"]) == pytest.approx(metric.value)
    assert scores.samples["key"] == list(test.keys) and scores.samples["label"] == test.labels.tolist()
    assert scores == score(train, Features(test.array, test.keys, test.labels, bad=["broken"]))


def test_five_classes_are_needed_for_acc5():
    train, test = draw(6, c=4)
    assert values(score(train, test, ks=(5,)))["knn_acc5@5"] is None


def test_bad_input():
    train, test = draw(7)
    broken = train.array.copy()
    broken[[4, 9], 2] = np.nan
    with pytest.raises(DataError, match=r"NaN or infinity in 2 of 90 rows, first that of 'im4'"):
        score(features(broken, train.labels), test)
    with pytest.raises(DataError, match="split 'test' has no readable image"):
        score(train, features(np.zeros((0, 8)), np.zeros(0, dtype=int)))
    with pytest.raises(IncompatibleError, match="got the splits test, expected train too"):
        KNN().requests(KNNSettings(), ["test"])
    for settings in ({"ks": ()}, {"ks": (0,)}, {"temperature": 0}, {"k": 5}):
        with pytest.raises(ValidationError):
            KNNSettings(**settings)
