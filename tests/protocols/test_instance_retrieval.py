"""Against scikit-learn's average precision, a sort in float64, and revisitop's levels by their definition."""

import dataclasses

import numpy as np
import pytest
from protocol_inputs import features, mixture, rng, values
from sklearn.metrics import average_precision_score

from mlcd_eval.data.annotations import Search
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.clustering import Clustering, ClusteringSettings
from mlcd_eval.protocols.instance_retrieval.expansion import Expansion, expanded
from mlcd_eval.protocols.instance_retrieval.protocol import InstanceRetrieval, InstanceRetrievalSettings
from mlcd_eval.protocols.instance_retrieval.truth import from_searches

LISTS = {"average_precision": "trapezoid", "precision_at": (1, 5, 10), "ks": (1,)}


def score(images, gallery=None, searches=None, seed=0, **settings):
    roles = {"test": images} if gallery is None else {"test": images, "gallery": gallery}
    annotations = {} if searches is None else {"test": searches, "gallery": []}
    inputs = Inputs(roles, annotations=annotations, seed=seed)
    return InstanceRetrieval().score(InstanceRetrievalSettings(**settings), inputs)


def cosine(queries, gallery):
    queries, gallery = (part.array.astype(float) for part in (queries, gallery))
    return (queries / np.linalg.norm(queries, axis=1, keepdims=True)) @ (
        gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    ).T


def by_sort(similarity, relevant):
    """(AP, AP@100, MAP@R, R-precision, first place, mP@10) of one query."""
    right = relevant[np.argsort(-similarity)]
    count, precision = right.sum(), np.cumsum(right) / np.arange(1, len(right) + 1)
    last = min(np.flatnonzero(right)[-1] + 1, 10)
    return (
        average_precision_score(relevant, similarity),
        (precision * right)[:100].sum() / min(count, 100),
        (precision * right)[:count].sum() / count,
        right[:count].mean(),
        np.argmax(right) + 1,
        right[:last].mean(),
    )


@pytest.mark.parametrize("own_gallery", [True, False])
def test_labels_are_scored_as_by_a_sort(own_gallery):
    gallery, images = mixture(3, sizes=(150, 60), c=12)
    labels = images.labels.copy()
    labels[:2] = 90, 91  # that no other image has
    images = dataclasses.replace(images, labels=labels)
    others = images if own_gallery else gallery
    similarity, expected = cosine(images, others), []
    for row, label in enumerate(labels):
        counts = np.arange(len(others.keys)) != row if own_gallery else np.full(len(others.keys), True)
        relevant = (others.labels == label)[counts]
        if relevant.any():
            expected.append(by_sort(similarity[row][counts], relevant))
    scores = score(images, None if own_gallery else gallery)
    columns = np.array(expected)
    assert values(scores) == pytest.approx(
        {
            "instance_map": columns[:, 0].mean(),
            "instance_map@100": columns[:, 1].mean(),
            "instance_map_r": columns[:, 2].mean(),
            "instance_r_precision": columns[:, 3].mean(),
            **{f"instance_recall@{k}": (columns[:, 4] <= k).mean() for k in (1, 10, 100)},
            "instance_mp@10": columns[:, 5].mean(),
        }
    )
    assert scores.primary == "instance_map" and scores.details["num_without_positive"] == {
        "instance": 60 - len(expected)
    }
    for metric in scores.metrics:
        assert (metric.num_scored, metric.num_unscored) == (len(expected), 60 - len(expected))
        assert metric.ci95[0] <= metric.value <= metric.ci95[1]


def listed(seed=0):
    """12 queries and a gallery of 90, of which each lists some as easy, hard and junk; the last has none of its own."""
    r, searches = rng(seed), []
    queries, gallery = features(r.normal(size=(12, 6))), features(r.normal(size=(90, 6)))
    for key in queries.keys:
        drawn = [f"im{row}" for row in r.permutation(90)[:30]]
        searches.append(Search(key, tuple(drawn[:6]), tuple(drawn[6:15]), tuple(drawn[15:])))
    searches[-1] = Search("im11", (), (), ("im3",))
    searches[-2] = Search("im10", (), ("im1", "im2"), ())
    return queries, gallery, searches


def revisited(ranking, positive, junk):
    """revisitop's compute_map of one query: junk shifts the places of the positives behind it."""
    kept = [row for row in ranking if row not in junk]
    places = [place for place, row in enumerate(kept) if row in positive]  # from 0
    steps = [((j / p if p else 1.0) + (j + 1) / (p + 1)) / 2 for j, p in enumerate(places)]
    precisions = [sum(p < min(places[-1] + 1, k) for p in places) / min(places[-1] + 1, k) for k in (1, 5, 10)]
    return [sum(steps) / len(positive), *precisions]


def test_lists_are_scored_at_revisitops_levels():
    queries, gallery, searches = listed()
    rankings = np.argsort(-cosine(queries, gallery), axis=1)
    expected = {"easy": [], "medium": [], "hard": []}
    for search, ranking in zip(searches, rankings, strict=True):
        easy, hard, junk = ({int(k[2:]) for k in keys} for keys in (search.positives, search.hard, search.junk))
        levels = (easy, junk | hard), (easy | hard, junk), (hard, junk | easy)
        for level, (positive, ignored) in zip(expected, levels, strict=True):
            expected[level] += [revisited(ranking.tolist(), positive, ignored)] if positive else []
    scores = score(queries, gallery, searches, **LISTS)
    own = values(scores)
    for level, of_level in expected.items():
        names = [f"{level}_map", *(f"{level}_mp@{k}" for k in (1, 5, 10))]
        assert [own[name] for name in names] == pytest.approx(np.mean(of_level, axis=0).tolist(), abs=1e-12)
    assert scores.primary == "medium_map"
    assert scores.details["num_without_positive"] == {"easy": 2, "medium": 1, "hard": 1}
    assert scores.samples["key"][-2:] == ["im10#hard", "im11"] and scores.samples["level"][-1] == "none"
    unscored = {metric.name: metric.num_unscored for metric in scores.metrics}
    assert (unscored["easy_map"], unscored["hard_map"]) == (2, 1)


def test_lists_without_hard_ones_have_one_level():
    queries, gallery, searches = listed()
    searches = [Search(search.image, search.positives) for search in searches]
    scores = score(queries, gallery, searches, metric="map_at", map_at=7)
    assert scores.primary == "instance_map@7" and not [name for name in values(scores) if "medium" in name]


def test_gap_is_the_mean_of_precisions_over_queries_that_have_an_answer():
    """The precisions at right answers by scikit-learn, which divides by their number."""
    gallery, photos = mixture(6, sizes=(90, 70), c=8)
    searches = [
        Search(key, tuple(f"im{row}" for row in np.flatnonzero(gallery.labels == label)) if number % 3 else ())
        for number, (key, label) in enumerate(zip(photos.keys, photos.labels, strict=True))
    ]
    photos, gallery = (dataclasses.replace(each, labels=None) for each in (photos, gallery))
    similarity, row = cosine(photos, gallery), {key: number for number, key in enumerate(gallery.keys)}
    sure, found = similarity.max(axis=1), similarity.argmax(axis=1)
    right = np.array([number in {row[key] for key in s.positives} for number, s in zip(found, searches, strict=True)])
    has_answer = np.array([bool(search.positives) for search in searches])
    assert 10 < right.sum() < has_answer.sum() < 70
    scores = score(photos, gallery, searches, metric="gap")
    own = values(scores)
    assert scores.primary == "gap" and scores.details["num_without_positive"] == {"instance": 24}
    expected = average_precision_score(right, sure) * right.sum() / has_answer.sum()
    assert own["gap"] == pytest.approx(expected, abs=1e-12)
    alone = average_precision_score(right[has_answer], sure[has_answer]) * right.sum() / has_answer.sum()
    assert own["gap_minus"] == pytest.approx(alone, abs=1e-12) and own["gap_minus"] > own["gap"]
    assert own["instance_recall@1"] == pytest.approx(right.sum() / has_answer.sum())
    of_all, of_some = (
        next(metric for metric in scores.metrics if metric.name == name) for name in ("gap", "gap_minus")
    )
    assert (of_all.num_unscored, of_some.num_unscored) == (0, 24)
    assert (of_all.num_scored, of_some.num_scored) == (70, 46) and of_all.ci95[0] < of_all.value < of_all.ci95[1]
    chance = scores.details["chance"]
    assert 0 < chance["gap"] < chance["gap_minus"] < chance["instance_recall@1"] < own["gap"]
    without = {name: value for name, value in own.items() if not name.startswith("gap")}
    assert without == values(score(photos, gallery, searches))


def test_gap_of_equally_sure_answers_and_where_there_is_none():
    searches = [Search("im0", ("im1",)), Search("im1", ()), Search("im2", ("im0",))]
    same = features(np.ones((3, 4)))
    assert values(score(same, same, searches, metric="gap"))["gap"] == 0  # a constant encoder knows nothing
    queries = features([[1, 0], [1, 0], [0, 1]])
    shown = values(score(queries, features([[0, 1], [1, 0]]), searches, metric="gap"))
    assert shown["gap"] == pytest.approx((1 / 2 + 2 / 3) / 2)  # the wrong one of three equally sure answers is ahead
    protocol, settings = InstanceRetrieval(), InstanceRetrievalSettings(metric="gap")
    with pytest.raises(IncompatibleError, match="metric 'gap' needs a gallery: got 'test' for both"):
        protocol.requests(settings, ["test"])
    with pytest.raises(IncompatibleError, match=r"'gap' counts every image: got hard or junk ones for 'im0' of split"):
        protocol.check_annotations(settings, "test", [Search("im0", ("im1",), (), ("im2",))])


def test_lists_that_overlap_or_name_what_is_not_there_are_counted():
    search = Search("q", ("a", "b"), ("b", "c"), ("a", "d", "gone"))
    truth = from_searches([search], {key: row for row, key in enumerate("abcd")})
    assert truth.counts == {"num_positive_and_junk": 1, "num_listed_but_not_in_gallery": 1}
    assert truth.links.row.tolist() == [0, 1, 2, 3]
    wanted = {level: part[0].astype(int).tolist() for level, part in truth.levels.items()}
    assert wanted == {"easy": [1, 1, 0, 0], "medium": [1, 1, 1, 0], "hard": [0, 1, 1, 0]}
    assert all((part[0] ^ part[1]).all() for part in truth.levels.values())


def test_queries_and_images_that_cannot_be_read_are_left_out():
    queries, gallery, searches = listed()
    few = features(queries.array[:-2], bad=("im10", "im11"))
    smaller = features(gallery.array[:60])
    scores = score(few, smaller, searches, **LISTS)
    metric = next(metric for metric in scores.metrics if metric.name == "medium_map")
    assert (metric.num_scored, metric.num_unscored) == (10, 2)
    beyond = sum(int(key[2:]) >= 60 for s in searches[:10] for key in (*s.positives, *s.hard, *s.junk))
    assert scores.details["num_listed_but_not_in_gallery"] == beyond > 0


def test_chance_is_what_random_features_score():
    labels = np.arange(240) % 40
    drawn = [score(features(rng(seed).normal(size=(240, 8)), labels)) for seed in range(2)]
    for name, chance in drawn[0].details["chance"].items():
        measured = np.mean([values(scores)[name] for scores in drawn])
        assert measured == pytest.approx(chance, abs=0.05) and 0 < chance < 1


def test_features_of_the_label_alone_are_perfect_and_constant_ones_are_not():
    labels = np.repeat(np.arange(10), 3)
    perfect = values(score(features(np.eye(10)[labels], labels)))
    assert set(perfect.values()) == {1.0}
    constant = values(score(features(np.ones((30, 4)), labels), ks=(1, 27)))
    assert (constant["instance_recall@1"], constant["instance_recall@27"]) == (0, 0)  # 27 others are as similar


def test_clusters_are_those_of_the_protocol_clustering():
    (images,) = mixture(5, sizes=(120,), c=4)
    scores = score(images, clusters=True)
    theirs = Clustering().score(ClusteringSettings(normalise=True), Inputs({"test": images}))
    assert {name: values(scores)[name] for name in values(theirs)} == values(theirs)
    assert scores.details["clusters"]["num_clusters"] == 4


def test_expansion_adds_what_is_near():
    gallery, queries = features(rng(1).normal(size=(40, 5))), features(rng(2).normal(size=(6, 5)))
    similarity = cosine(queries, gallery)
    unit = [part.array / np.linalg.norm(part.array, axis=1, keepdims=True) for part in (queries, gallery)]
    expected = unit[0].astype(float)
    for row, of_query in enumerate(similarity):
        for near in np.argsort(-of_query)[:4]:
            expected[row] += max(of_query[near], 0) ** 2 * unit[1][near]
    made = expanded(Expansion(images=4, alpha=2), queries.array, gallery.array, "cpu", lambda _: None)
    assert made == pytest.approx(expected, abs=1e-5)
    own = expanded(Expansion(images=1, alpha=0), gallery.array, None, "cpu", lambda _: None)
    nearest = np.argsort(-(cosine(gallery, gallery) - 2 * np.eye(40)), axis=1)[:, 0]
    assert own == pytest.approx(unit[1] + unit[1][nearest], abs=1e-5)  # and never itself
    images, _ = mixture(4, sizes=(90, 2), c=6)
    assert values(score(images, expansion={"images": 5})) != values(score(images))


def test_what_is_refused():
    protocol, settings = InstanceRetrieval(), InstanceRetrievalSettings()
    splits = {role: each.split for role, each in protocol.requests(settings, ["test", "gallery"]).items()}
    assert splits == {"gallery": "gallery", "test": "test"}
    assert list(protocol.requests(settings, ["train", "test"])) == ["test"]
    assert protocol.requests(InstanceRetrievalSettings(gallery="train"), ["train", "test"])["gallery"].split == "train"
    with pytest.raises(IncompatibleError, match="instance_retrieval reads the gallery from 'val': got test"):
        protocol.requests(InstanceRetrievalSettings(gallery="val"), ["test"])
    with pytest.raises(IncompatibleError, match="clusters of split 'test' need labels: got lists of images"):
        protocol.check_annotations(InstanceRetrievalSettings(clusters=True), "test", listed()[2])
    with pytest.raises(IncompatibleError, match="split 'test' cannot be searched: got no query with a positive"):
        protocol.check_annotations(settings, "test", [Search("im0", (), (), ("im1",))])
    with pytest.raises(DataError, match="3 queries cannot be scored: got none with an image of the gallery"):
        score(features(np.eye(3), [0, 1, 2]))
    with pytest.raises(DataError, match="features of the gallery are not finite"):
        score(features(np.eye(3), [0, 1, 2]), features(np.full((3, 3), np.nan), [0, 1, 2]))
    names = ["instance_map", "instance_map@100", "instance_recall@1", "instance_recall@10", "nmi", "ari"]
    assert protocol.shown_metrics(names, "instance_map@100") == [names[0], names[1], names[2], names[4]]
