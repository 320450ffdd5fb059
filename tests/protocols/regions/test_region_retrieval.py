"""region_retrieval on small images, against a ranking that is written out."""

import dataclasses

import numpy as np
import pytest
from protocol_inputs import regions, values

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.regions.pooling import pooled
from mlcd_eval.protocols.regions.region_retrieval import RegionRetrieval, RegionRetrievalSettings


def searched(noise=1.0, count=12, **options):
    images, parts = regions(count, 2, noise=noise, **options)
    return Inputs({"test": images}, annotations={"test": parts})


def scored(inputs, **settings):
    return RegionRetrieval().score(RegionRetrievalSettings(**settings), inputs)


def by_hand(inputs, truth, pool):
    """AP and the place of the first hit of each region, None for one with nothing to find."""
    parts = inputs.annotations["test"]
    x = pooled(inputs.images["test"], parts, pool).astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    for number, query in enumerate(parts):
        if truth == "class":
            gallery = [row for row, each in enumerate(parts) if each.unit != query.unit]
            right = {row for row in gallery if parts[row].label == query.label}
        else:
            gallery = [row for row, each in enumerate(parts) if each.image != query.image]
            right = {row for row in gallery if parts[row].thing == query.thing}
        ranked = sorted(gallery, key=lambda row, number=number: -x[number] @ x[row])
        hits = [place for place, row in enumerate(ranked, 1) if row in right]
        yield (np.mean([(n + 1) / place for n, place in enumerate(hits)]), hits[0]) if hits else None


@pytest.mark.parametrize("pool", ["mask", "box"])
@pytest.mark.parametrize(("truth", "units"), [("class", 3), ("instance", 3)])
def test_places_are_those_of_a_written_out_ranking(truth, units, pool):
    given = searched(units=units)
    scores = scored(given, truth=truth, pool=pool)
    expected = [each for each in by_hand(given, truth, pool) if each]
    found, ranks = values(scores), np.array([rank for _, rank in expected])
    assert found["region_map"] == pytest.approx(np.mean([area for area, _ in expected]), abs=1e-9)
    assert found["region_recall@1"] == pytest.approx((ranks == 1).mean())
    assert found["region_recall@5"] == pytest.approx((ranks <= 5).mean())
    assert scores.metrics[0].num_scored == len(expected) == 24


def test_those_with_nothing_to_find_are_counted():
    given = searched()
    alone = [dataclasses.replace(part, label=9 if number == 0 else 0) for number, part in
             enumerate(given.annotations["test"])]  # fmt: skip
    scores = scored(dataclasses.replace(given, annotations={"test": alone}))
    assert (scores.metrics[0].num_scored, scores.metrics[0].num_unscored) == (23, 1)
    assert scores.details["num_without_positive"] == 1


def test_intervals_are_over_scenes():
    narrow, wide = (scored(searched(units=units)).metrics[0] for units in (1, 6))
    assert wide.ci95[1] - wide.ci95[0] != narrow.ci95[1] - narrow.ci95[0]


def test_baselines_and_chance_stand_beside():
    scores = scored(searched(noise=0.1))
    blind = {name: each["region_map"]["value"] for name, each in scores.details["baselines"].items()}
    assert set(blind) == {"position", "colour", "pixels"} and max(blind.values()) < 0.6 < values(scores)["region_map"]
    assert 0.2 < scores.details["chance"]["region_map"] < 0.55


def test_few_regions_are_drawn():
    scores = scored(searched(), regions=10)
    assert scores.details["num_regions"] == 10 == len(scores.samples["key"])


def test_what_cannot_be_searched_is_one_sentence():
    protocol, given = RegionRetrieval(), searched(units=12)
    with pytest.raises(IncompatibleError, match=r"truth=class: got 24 regions of which none is in another image too"):
        protocol.check_annotations(RegionRetrievalSettings(), "test", given.annotations["test"])
    protocol.check_annotations(RegionRetrievalSettings(truth="instance"), "test", given.annotations["test"])
    with pytest.raises(IncompatibleError, match="pool=mask needs a mask"):
        protocol.check_annotations(RegionRetrievalSettings(), "test", searched(masks=False).annotations["test"])
    with pytest.raises(DataError, match="24 regions cannot be searched: got none with another to find"):
        scored(given)
    with pytest.raises(IncompatibleError, match="region_retrieval reads the split 'val': got train"):
        protocol.requests(RegionRetrievalSettings(), ["train"])
    spoiled = searched()
    spoiled.images["test"].array[1, 0, 0, 0] = np.inf
    with pytest.raises(DataError, match="patch features of test are not finite"):
        scored(spoiled)
