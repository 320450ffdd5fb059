"""Ranks against sorting, and metrics against revisitop's definition and against every order there is."""

from itertools import permutations, product

import numpy as np
import pytest
import torch

from mlcd_eval.metrics import search
from mlcd_eval.metrics.found import (
    AREAS,
    chance_of_gap,
    chance_of_hit,
    chance_of_precision,
    chance_of_precision_within,
    precision_within,
    prepare_gap,
    r_precision,
    share_within,
)
from mlcd_eval.metrics.search import Known, Links, compare, ranks
from mlcd_eval.protocols.shared.unit import unit
from mlcd_eval.support.resident import Rows


def revisited(ranking, positive, junk, kappas):
    """AP and mP@k of one query by the definition: the trapezoids of Radenovic et al. 2018 under the precision over
    recall of a ranking (rows, best first), from which junk was struck out."""
    kept = [row for row in ranking if row not in junk]
    area, right, precision = 0.0, 0, 1.0
    last = max(place for place, row in enumerate(kept, 1) if row in positive)
    for place, row in enumerate(kept, 1):
        if row in positive:
            right += 1
            area += (precision + right / place) / 2 / len(positive)
        precision = right / place
    return area, [sum(row in positive for row in kept[: min(k, last)]) / min(k, last) for k in kappas]


def random_search(rng):
    """Similarities of one query to a gallery, and the rows that are easy, hard and junk."""
    size = int(rng.integers(5, 30))
    drawn = rng.permutation(size)
    ends = np.sort(rng.integers(1, size, 3))
    return rng.permutation(size) / size, [set(part.tolist()) for part in np.split(drawn, ends)[:3]]


def test_trapezoids_are_revisitops_on_1000_random_rankings():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        similarity, (easy, hard, junk) = random_search(rng)
        named = sorted(easy | hard | junk)
        at_least = (similarity[None] >= similarity[named][:, None]).sum(axis=1)
        links, best = Links(np.zeros(len(named), np.int64), np.array(named, np.int64)), similarity.max(keepdims=True)
        known = Known(links, similarity[named], at_least, best)
        for wanted, ignored in ((easy, junk | hard), (easy | hard, junk), (hard, junk | easy)):
            if not wanted:  # such a query is not scored
                continue
            places = ranks(known, np.isin(named, list(wanted)), np.isin(named, list(ignored)))
            area, precisions = revisited(np.argsort(-similarity), wanted, ignored, (1, 5, 10))
            assert abs(AREAS["trapezoid"](places) - area) < 1e-12
            for k, precision in zip((1, 5, 10), precisions, strict=True):
                assert abs(share_within(places, k) - precision) < 1e-12


def features(rng, rows, d=6):
    """Few different rows, so that many are equally similar."""
    return rng.normal(size=(7, d))[rng.integers(7, size=rows)].astype(np.float32) * rng.integers(1, 4, (rows, 1))


def sorted_ranks(similarity, wanted, ignored):
    """Places by a sort that puts what is not wanted ahead of what is equally similar."""
    order = [
        row for row in np.lexsort((np.isin(np.arange(len(similarity)), wanted), -similarity)) if row not in ignored
    ]
    return [place for place, row in enumerate(order, 1) if row in wanted]


@pytest.mark.parametrize("tile", [(2, 3), (256, 4096)])
def test_ranks_are_those_of_a_sort_whatever_the_tile(monkeypatch, tile):
    monkeypatch.setitem(search._TILE, "cpu", tile)
    rng = np.random.default_rng(1)
    queries, gallery = (torch.tensor(features(rng, rows), dtype=torch.float32) for rows in (9, 40))
    named = [rng.choice(40, size, replace=False) for size in (0, 5, 1, 30, 7, 0, 3, 12, 2)]
    wanted = [part[: len(part) // 2 + 1] for part in named]
    links = Links(np.repeat(np.arange(9), list(map(len, named))), np.concatenate(named))
    is_wanted = np.concatenate([np.arange(len(part)) < len(part) // 2 + 1 for part in named])
    known = compare(Rows(queries, "cpu", unit), Rows(gallery, "cpu", unit), links)
    exact = [search.fixed_point(unit(part)) for part in (queries, gallery)]
    similarity = (exact[0] @ exact[1].T).numpy()
    best = np.where([len(part) > 0 for part in named], similarity.max(axis=1), -np.inf)
    assert known.nearest.tolist() == best.tolist()
    every = compare(Rows(queries, "cpu", unit), Rows(gallery, "cpu", unit), links, all_queries=True)
    assert every.nearest.tolist() == similarity.max(axis=1).tolist()
    assert every.at_least.tolist() == known.at_least.tolist()
    expected = [
        sorted_ranks(row, want, name[len(want) :]) for row, want, name in zip(similarity, wanted, named, strict=True)
    ]
    assert ranks(known, is_wanted, ~is_wanted).tolist() == [place for of_query in expected for place in of_query]


def test_named_similarities_are_compared_few_at_a_time(monkeypatch):
    seen, exact = [], search.fixed_point
    monkeypatch.setattr(search, "_NUMBERS", 12)
    monkeypatch.setattr(search, "fixed_point", lambda rows: seen.append(tuple(rows.shape)) or exact(rows))
    rows = Rows(np.eye(4, dtype=np.float32), "cpu", unit)
    links = Links(np.arange(8) % 4, np.array([0, 1, 2, 3, 1, 2, 3, 0]))
    assert search._similarities(rows, rows, links).tolist() == [exact(torch.ones(1)).item() ** 2] * 4 + [0.0] * 4
    assert seen == [(3, 4)] * 4 + [(2, 4)] * 2


def test_a_constant_encoder_finds_nothing():
    rows = Rows(np.ones((50, 4), np.float32), "cpu", unit)
    links = Links(np.zeros(3, np.int64), np.array([0, 5, 9]))
    none = np.zeros(3, bool)
    assert ranks(compare(rows, rows, links), ~none, none).tolist() == [48, 49, 50]
    no_links = Links(*np.zeros((2, 0), np.int64))
    assert compare(rows, rows, no_links).at_least.tolist() == []
    assert compare(rows, rows, no_links, all_queries=True).nearest == pytest.approx(np.ones(50))


def test_metrics_by_hand():
    places = np.array([1, 3, 12])
    assert AREAS["step"](places) == pytest.approx((1 + 2 / 3 + 3 / 12) / 3)
    assert AREAS["trapezoid"](places) == pytest.approx((1 + 1 + 1 / 2 + 2 / 3 + 2 / 11 + 3 / 12) / 6)
    assert precision_within(places, 10) == pytest.approx((1 + 2 / 3) / 3)  # of three right answers
    assert precision_within(places, 2) == pytest.approx(1 / 2)  # of the two that fit
    assert precision_within(places, 3) == pytest.approx((1 + 2 / 3) / 3)  # MAP@R
    assert r_precision(places) == pytest.approx(2 / 3)
    assert share_within(places, 10) == 0.2
    assert share_within(places[:2], 10) == pytest.approx(2 / 3)  # down to the last right answer


@pytest.mark.parametrize(("positives", "images"), [(1, 1), (1, 5), (2, 6), (3, 3), (4, 6)])
def test_chance_is_the_mean_over_all_orders(positives, images):
    orders = [np.flatnonzero(np.array(order) < positives) + 1 for order in permutations(range(images))]
    for area, value in AREAS.items():
        assert chance_of_precision(positives, images, area) == pytest.approx(np.mean([value(o) for o in orders]))
    for k in (1, 2, positives, 10):
        within = [precision_within(order, k) for order in orders]
        assert chance_of_precision_within(positives, images, k) == pytest.approx(np.mean(within))
        assert chance_of_hit(positives, images, k) == pytest.approx(np.mean([o[0] <= k for o in orders]))


def test_chance_of_gap_is_the_mean_over_all_orders_and_answers():
    odds = np.array([0.5, 0.25, 0.0, 1.0])
    total = 0.0
    for right in product((0, 1), repeat=4):
        weight = np.prod(np.where(right, odds, 1 - odds))
        values = [prepare_gap(np.column_stack([order, right]), odds > 0)(None) for order in permutations(range(4))]
        total += weight * np.mean(values)
    assert chance_of_gap(odds) == pytest.approx(total)
