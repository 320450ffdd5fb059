"""SGD's linear layers against layers that torch's own optimizer trains one by one, and what is chosen by."""

import contextlib
import dataclasses
import math

import numpy as np
import pytest
import torch
from conftest import make_result, metric
from protocol_inputs import mixture
from torch import nn

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.base import Features, Inputs
from mlcd_eval.protocols.classification import linear_probe, sgd_probe
from mlcd_eval.protocols.classification.sgd_probe import SGDSettings, train_sgd
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.support.resident import Rows
from mlcd_eval.tables.variants import variants

RATES = (0.01, 0.1, 2.0)


def one_by_one(array, labels, classes, settings, order, multilabel):
    """dinov2/eval/linear.py in its own order: one classifier per rate, the losses summed, one optimizer with a group
    each, CosineAnnealingLR."""
    generator = torch.Generator().manual_seed(3)
    first = 0.01 * torch.randn(classes, array.shape[1], generator=generator)
    layers = [nn.Linear(array.shape[1], classes) for _ in settings.learning_rates]
    for layer in layers:
        layer.weight.data.copy_(first)
        layer.bias.data.zero_()
    groups = [
        {"params": layer.parameters(), "lr": rate * settings.batch_size / 256.0}
        for layer, rate in zip(layers, settings.learning_rates, strict=True)
    ]
    optimizer = torch.optim.SGD(groups, momentum=0.9, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, settings.iterations, eta_min=0)
    criterion = nn.BCEWithLogitsLoss() if multilabel else nn.CrossEntropyLoss()
    for index in order:
        x, truth = torch.from_numpy(array[index]), torch.from_numpy(labels[index])
        loss = sum(criterion(layer(x), truth.float() if multilabel else truth) for layer in layers)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return layers


@pytest.mark.parametrize("multilabel", [False, True])
def test_layers_are_those_of_torchs_optimizer(multilabel, monkeypatch):
    (train,) = mixture(0, (50,), d=12, c=5)
    labels = np.eye(5, dtype=np.int64)[train.labels] if multilabel else train.labels
    settings = SGDSettings(learning_rates=RATES, iterations=40, batch_size=16)
    order, batches = [], sgd_probe._batches

    def noted(*given):
        for index in batches(*given):
            order.append(index)
            yield index

    monkeypatch.setattr(sgd_probe, "_batches", noted)
    ours = train_sgd(Rows(train.array, "cpu"), labels, 5, settings, seed=3)
    theirs = one_by_one(train.array, labels, 5, settings, order[:40], multilabel)
    for layer, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(layer.weight, reference.weight.data, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(layer.bias, reference.bias.data, rtol=1e-5, atol=1e-6)
        logits = torch.cat(list(layer.scores(Rows(train.array, "cpu"))))
        torch.testing.assert_close(logits, reference(torch.from_numpy(train.array)).data, rtol=1e-5, atol=1e-5)
    assert [len(index) for index in order] == [16] * len(order)
    assert sorted(np.concatenate(order)[:50]) == list(range(50))  # a pass has each row once


def test_a_rate_learns_the_same_alone():
    (train,) = mixture(0, (50,), d=12, c=5)
    settings = SGDSettings(learning_rates=RATES, iterations=20, batch_size=16)
    together = train_sgd(Rows(train.array, "cpu"), train.labels, 5, settings, 3)[1]
    [alone] = train_sgd(Rows(train.array, "cpu"), train.labels, 5, settings.only("last_1/cls", 0.1), 3)
    torch.testing.assert_close(alone.weight, together.weight, rtol=1e-5, atol=1e-6)


def split(count, seed, informative, name):
    """Features at three layers, of which one tells four classes apart."""
    rng, roles = np.random.default_rng(seed), {}
    labels = np.arange(count) % 4
    for place, layer in enumerate(("last_1/cls", "last_2/cls", "last_1/cls+mean")):
        array = rng.normal(size=(count, 8 + place)).astype(np.float16)
        if layer == informative:
            array[:, :4] += 3 * np.eye(4)[labels]
        roles[name if place == 0 else f"{name}@{layer}"] = Features(
            array, [f"{name}{row}" for row in range(count)], labels
        )
    return roles


SGD = {
    "layers": ["last_1/cls", "last_2/cls", "last_1/cls+mean"],
    "learning_rates": [1e-6, 0.1],
    "iterations": 60,
    "batch_size": 32,
}


def scored(images, sgd=None, **changes):
    protocol = get_protocol("linear_probe")
    settings = protocol.Settings.model_validate({"sgd": SGD if sgd is None else sgd})
    return protocol.score(settings, Inputs(images=images, **changes))


@pytest.mark.parametrize("informative", SGD["layers"])
def test_layer_and_rate_are_chosen_on_held_out_rows(informative):
    images = split(100, 0, informative, "train") | split(60, 1, informative, "test")
    scores = scored(images)
    assert (scores.details["layer"], scores.details["lr"]) == (informative, 0.1)
    assert scores.details["chosen_from"] == "search by acc1 on 20 samples" and scores.details["num_train"] == 80
    assert [(line["layer"], line["lr"]) for line in scores.details["search"]] == [
        (layer, rate) for layer in SGD["layers"] for rate in (1e-6, 0.1)
    ]
    assert scores.metrics[0].value > 0.9 and scores.bytes_per_embedding == 2 * (8 + SGD["layers"].index(informative))


def test_controls_train_the_first_layer_at_the_largest_rate(monkeypatch):
    seen = []
    monkeypatch.setattr(linear_probe, "label_controls", lambda _, settings, __: seen.append(settings.sgd) or [])
    protocol = get_protocol("linear_probe")
    for iterations in (60, 5000):
        settings = protocol.Settings.model_validate({"sgd": SGD | {"iterations": iterations}})
        assert protocol.controls(settings, Inputs(images={})) == []
    found = [(sgd.layers, sgd.learning_rates, sgd.iterations) for sgd in seen]
    assert found == [(("last_1/cls",), (0.1,), 60), (("last_1/cls",), (0.1,), 1000)]


def test_test_decides_nothing_and_val_is_not_learned_from():
    train, test = split(100, 0, "last_2/cls", "train"), split(60, 1, "last_1/cls", "test")
    val = split(40, 2, "last_2/cls", "val")
    scores = scored(train | val | test)
    assert scores.details["layer"] == "last_2/cls" and scores.details["num_train"] == 100
    assert scores.details["chosen_from"] == "search by acc1 on 40 samples" and scores.metrics[0].value < 0.6


def test_several_labels_per_image():
    images = {
        role: dataclasses.replace(each, labels=np.eye(4, dtype=np.int64)[each.labels])
        for part in (split(100, 0, "last_2/cls", "train"), split(60, 1, "last_2/cls", "test"))
        for role, each in part.items()
    }
    scores = scored(images, {**SGD, "learning_rates": [1e-6, 10.0]})
    assert scores.primary == "map_11point" and scores.details["layer"] == "last_2/cls"


def test_stages_reach_their_totals():
    done, totals = {}, {}

    @contextlib.contextmanager
    def stage(what, total, unit):
        totals[what], done[what] = total, 0

        def advance(count):
            done[what] += count

        yield advance

    images = split(100, 0, "last_1/cls", "train") | split(60, 1, "last_1/cls", "test")
    scored(images, stage=stage)
    assert done == totals == {"steps of SGD": 180, "fits of the probe": 1}


def test_the_dialects_are_the_sources_grids():
    protocol = get_protocol("linear_probe")
    two, three = (protocol.dialects[name].settings["sgd"] for name in ("dinov2-linear", "dinov3-linear"))
    assert (two.candidates, three.candidates) == (52, 13) and two.learning_rates[0] == 1e-5
    assert two.iterations == three.iterations == 10 * 1250 and math.prod((two.batch_size, 2)) == 256
    for settings in (two, three):
        requests = protocol.requests(protocol.Settings(sgd=settings), ["train", "val", "test"])
        read = {(request.split, request.layer) for request in requests.values()}
        assert read == {(part, layer) for part in ("train", "val", "test") for layer in settings.layers}


def test_mistakes_are_one_sentence():
    protocol = get_protocol("linear_probe")
    for other in ({"shots": 4}, {"layer": "projected"}, {"embedding": "int8"}):
        with pytest.raises(ValueError, match=r"expected sgd, which has layers of its own, without"):
            protocol.Settings.model_validate({"sgd": {}, **other})
    with pytest.raises(ValueError, match="at most one of lambda_, c, adamw and sgd, got c and sgd"):
        protocol.Settings.model_validate({"sgd": {}, "c": 1.0})
    with pytest.raises(ValueError, match="a layer of one vector per image"):
        SGDSettings(layers=("blocks",))
    with pytest.raises(IncompatibleError, match="got 4 train samples and no class with two"):
        scored(split(4, 0, None, "train") | split(8, 1, None, "test"))


def test_a_table_names_it_beside_nothing_else():
    """Fields of a setting that is usually absent are named; those of a dialect by its name alone."""
    settings = get_protocol("linear_probe").Settings
    labels = []
    for given in ({"sgd": SGDSettings(iterations=300)}, {"adamw": {"lr": 0.3}}, {}):
        record = make_result(task="linear_probe/demo", metrics=[metric("acc1", 0.5)])
        task = record.task.model_copy(update={"settings": settings.model_validate(given).model_dump(mode="json")})
        record = record.model_copy(update={"task": task})
        labels.append(variants([record]).label(record))
    assert "sgd.iterations=300" in labels[0] and "adamw.lr=0.3" in labels[1] and labels[2] == ""
    dialect = get_protocol("linear_probe").dialects["dinov3-linear"].settings
    named = settings.model_validate({**dialect, "dialect": "dinov3-linear"}).model_dump(mode="json")
    record = record.model_copy(update={"task": task.model_copy(update={"settings": named})})
    assert variants([record]).label(record) == "dialect=dinov3-linear"
