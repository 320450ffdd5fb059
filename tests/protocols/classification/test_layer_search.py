"""Layers chosen on held-out rows of train."""

import numpy as np
import pytest

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification import linear_probe
from mlcd_eval.protocols.registry import get_protocol

CLASSES, WIDTH = 4, 6


def split(count, seed, best, depth=3, poolings=2):
    """Features of noise, but for one block and pooling that tells the classes apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    array = rng.normal(size=(count, depth, poolings, WIDTH)).astype(np.float16)
    if best is not None:
        array[(slice(None), *best)] += 3 * np.eye(WIDTH)[labels]
    return Features(array, [f"{seed}_{row}" for row in range(count)], labels)


def scored(train, test, output=None, **settings):
    """output: (train, test) at the pooled output, by default noise."""
    protocol = get_protocol("linear_probe")
    if output is None:
        noise = np.random.default_rng(7).normal
        output = [noise(size=(len(each.keys), 2 * WIDTH)).astype(np.float32) for each in (train, test)]
    images = {"train": train, "test": test}
    images |= {
        f"{role}@penultimate": Features(array, each.keys, each.labels)
        for (role, each), array in zip(list(images.items()), output, strict=True)
    }
    return protocol.score(protocol.Settings.model_validate({"layers": "all", **settings}), Inputs(images=images))


def plain(features, block, ways):
    array = np.concatenate([features.array[:, block, way] for way in ways], axis=1).astype(np.float32)
    return Features(array, features.keys, features.labels)


def test_the_best_layer_is_found_and_scored_as_a_layer_is():
    train, test = split(80, 0, (1, 1)), split(40, 1, (1, 1))
    scores = scored(train, test)
    assert scores.details["layer"] == "block_2/mean"
    protocol = get_protocol("linear_probe")
    alone = protocol.score(
        protocol.Settings(), Inputs(images={"train": plain(train, 1, [1]), "test": plain(test, 1, [1])})
    )
    assert scores.metrics == alone.metrics and scores.samples == alone.samples
    assert {name: scores.details[name] for name in alone.details} == dict(alone.details)


def test_layers_probed_beside_each_other_give_the_same_numbers(monkeypatch):
    train, test = split(80, 0, (1, 1)), split(40, 1, (1, 1))
    monkeypatch.setattr(linear_probe, "workers_for", lambda size, device: 1)
    alone = scored(train, test)
    monkeypatch.setattr(linear_probe, "workers_for", lambda size, device: 3)
    beside = scored(train, test)
    assert beside.metrics == alone.metrics and beside.details == alone.details


def test_the_curve_has_every_block_and_pooling_with_its_interval():
    curve = scored(split(80, 0, (2, 0)), split(40, 1, (2, 0))).details["layers"]
    assert [line["layer"] for line in curve] == [
        *(f"block_{block}/{way}" for block in (1, 2, 3) for way in ("cls", "mean", "cls+mean")),
        "penultimate",
    ]
    for line in curve:
        low, high = line["ci95"]
        assert low <= line["score"] <= high and line["lambda"] > 0
        assert (line["score"] * 16) % 1 == 0  # of the 16 rows that are held out


def test_test_images_decide_nothing():
    """Another block is the best one on test: it is not taken."""
    train = split(80, 0, (0, 0))
    details = [scored(train, split(40, 1, best)).details for best in ((0, 0), (2, 1), None)]
    assert details[0]["layer"] == "block_1/cls" and details[0]["layers"] == details[1]["layers"] == details[2]["layers"]


def test_of_equal_scores_the_shorter_and_then_the_deeper_wins():
    train, test = split(80, 0, (0, 0)), split(40, 1, (0, 0))
    for features in (train, test):
        features.array[:] = 4 * np.eye(WIDTH)[features.labels][:, None, None]
    assert scored(train, test).details["layer"] == "block_3/cls"
    output = [np.repeat(features.array[:, 0, 0].astype(np.float32), 2, axis=1) for features in (train, test)]
    assert scored(train, test, output).details["layer"] == "penultimate"


def test_a_shorter_layer_wins_over_a_deeper_one_of_two_poolings():
    """The class token of the second block tells the classes apart; of the third only both poolings together do."""
    train, test = split(80, 0, (1, 0)), split(40, 1, (1, 0))
    for features in (train, test):
        labels = features.labels
        features.array[:, 0] = 0
        features.array[:, 1:] = np.float16(0)
        features.array[:, 1, 0] = 4 * np.eye(WIDTH)[labels]
        features.array[:, 2, 0], features.array[:, 2, 1] = 4 * np.eye(WIDTH)[labels // 2], 4 * np.eye(WIDTH)[labels % 2]
    details = scored(train, test).details
    assert [line["layer"] for line in details["layers"] if line["score"] == 1] == [
        "block_2/cls",
        "block_2/cls+mean",
        "block_3/cls+mean",
    ]
    assert details["layer"] == "block_2/cls"


def test_the_output_is_a_candidate_and_scored_as_usual():
    train, test = split(80, 0, (0, 0)), split(40, 1, (0, 0))
    noise = np.random.default_rng(3).normal
    output = [
        (6 * np.eye(WIDTH)[each.labels] + noise(size=(len(each.keys), WIDTH))).astype(np.float32)
        for each in (train, test)
    ]
    scores = scored(train, test, output)
    protocol = get_protocol("linear_probe")
    images = {
        "train": Features(output[0], train.keys, train.labels),
        "test": Features(output[1], test.keys, test.labels),
    }
    assert scores.details["layer"] == "penultimate"
    assert scores.metrics == protocol.score(protocol.Settings(), Inputs(images=images)).metrics


def test_each_split_is_read_at_all_blocks_and_at_the_output():
    protocol = get_protocol("linear_probe")
    requests = protocol.requests(protocol.Settings(layers="all", exif=True), ["train", "val", "test"])
    layers = {(request.split, request.exif, request.layer) for request in requests.values()}
    assert layers == {(part, True, at) for part in ("train", "val", "test") for at in ("blocks", "penultimate")}


def test_a_tower_without_a_class_token_has_means():
    curve = scored(split(80, 0, (1, 0), poolings=1), split(40, 1, (1, 0), poolings=1)).details["layers"]
    assert [line["layer"] for line in curve] == ["block_1/mean", "block_2/mean", "block_3/mean", "penultimate"]


def test_several_labels_per_image():
    train, test = split(80, 0, (1, 0)), split(40, 1, (1, 0))
    several = [Features(each.array, each.keys, np.eye(CLASSES, dtype=np.int64)[each.labels]) for each in (train, test)]
    scores = scored(*several)
    assert scores.details["layer"] == "block_2/cls" and scores.primary == "map_11point"
    assert "map_11point" in scores.details["layer_from"]


def test_no_row_to_choose_by():
    train, test = split(4, 0, (0, 0)), split(8, 1, (0, 0))
    with pytest.raises(IncompatibleError, match="got 4 train samples and no class with two, expected one"):
        scored(train, test)


@pytest.mark.parametrize("settings", [{"shots": 4}, {"layer": "block_2/cls"}, {"adamw": {}}])
def test_settings_that_do_not_go_together(settings):
    with pytest.raises(ValueError, match=f"expected layers without {next(iter(settings))}"):
        get_protocol("linear_probe").Settings.model_validate({"layers": "all", **settings})


def test_with_a_fixed_penalty():
    curve = scored(split(80, 0, (1, 0)), split(40, 1, (1, 0)), lambda_=0.5).details["layers"]
    assert {line["lambda"] for line in curve} == {0.5}
