"""The recipes of DINOv3 and RADIO: schedules against the authors' lines, the layer against a plain loop in torch."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from protocol_inputs import class_maps, segmented, values
from pydantic import ValidationError

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.segmentation import seg_linear
from mlcd_eval.protocols.segmentation.recipe import train_layer
from mlcd_eval.protocols.segmentation.recipe_settings import RecipeSettings
from mlcd_eval.protocols.segmentation.seg_linear import DIALECTS, SegLinear, SegLinearSettings
from mlcd_eval.protocols.shared.patch_images import PatchImages

SHORT = {"steps": 120, "warmup": 10}


def test_the_dialects_are_the_papers_configs():
    dinov3, radio = (DIALECTS[name].settings["sgd"].model_dump() for name in ("dinov3", "radio"))
    assert dinov3 == {
        "schedule": "cosine", "steps": 40_000, "warmup": 1500, "batch_size": 16, "lr": 1e-3, "weight_decay": 1e-3,
        "dropout": 0.1,
    }  # fmt: skip
    assert radio == {**dinov3, "schedule": "linear", "steps": 80_000, "weight_decay": 0.0, "dropout": 0.0}


def test_learning_rates():
    dinov3, radio = (DIALECTS[name].settings["sgd"] for name in ("dinov3", "radio"))
    # WarmupOneCycleLR of schedulers.py, which is not stepped after the first step
    assert dinov3.rate(0) == dinov3.rate(1) == pytest.approx(1e-9)
    assert dinov3.rate(751) == pytest.approx(1e-3 * (1 - 0.5 * (1 - 1e-6)) * (1 - 750 / 40_000))
    assert dinov3.rate(20_000) == pytest.approx(5e-4) and dinov3.rate(40_000) < 1e-11
    assert dinov3.rate(10_000) == pytest.approx(1e-3 * (1 + math.cos(math.pi / 4)) / 2)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1e-3)  # mmengine counts the steps of a phase from its first
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=1e-6, total_iters=1499)
    fall = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=78_499, power=1.0)
    for step in (0, 1, 700, 1499):
        rise.last_epoch = step
        assert radio.rate(step) == pytest.approx(rise._get_closed_form_lr()[0])
    for step in (1500, 40_000, 79_999):
        fall.last_epoch = step - 1500
        assert radio.rate(step) == pytest.approx(fall._get_closed_form_lr()[0], abs=1e-12)
    assert dinov3.at_most(400).model_dump() == {**dinov3.model_dump(), "steps": 400, "warmup": 15}
    assert dinov3.at_most(50_000) is dinov3
    with pytest.raises(ValidationError, match="expected fewer steps of warmup than steps = 10, got 10"):
        RecipeSettings(steps=10, warmup=10)


def test_the_layer_is_that_of_a_plain_loop():
    features, maps = class_maps(16, 0)
    settings = RecipeSettings(**SHORT, dropout=0.0, weight_decay=0.05)
    weight, bias, details = train_layer(settings, PatchImages(features.array, maps), 3, 16, 0, "cpu")
    norm, layer = torch.nn.BatchNorm1d(6), torch.nn.Linear(6, 3)
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        layer.weight.copy_(torch.empty(3, 6, 1, 1).normal_(std=0.01, generator=chance)[..., 0, 0])
        layer.bias.zero_()
    optimizer = torch.optim.AdamW([*norm.parameters(), *layer.parameters()], lr=1e-3, weight_decay=0.05)
    place = 2 * np.arange(16) + 1  # the square of 32 pixels, of which images fill 24 rows
    truth = np.full((16, 16, 16), -1)
    truth[:, :12] = [each.pixels()[np.ix_(place[:12], place)] for each in maps]
    for step in range(120):
        rows = torch.randperm(16, generator=chance)
        torch.rand(16, 6, 1, 1, generator=chance)
        scores = layer(norm(torch.from_numpy(features.array)[rows].reshape(-1, 6))).reshape(16, 4, 4, 3)
        fine = torch.nn.functional.interpolate(scores.permute(0, 3, 1, 2), size=(16, 16), mode="bilinear")
        labels = torch.from_numpy(truth)[rows]
        loss = (
            -fine.log_softmax(1)
            .permute(0, 2, 3, 1)[labels >= 0][torch.arange(int((labels >= 0).sum())), labels[labels >= 0]]
            .mean()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.param_groups[0]["lr"] = settings.rate(step)
        optimizer.step()
    norm.eval()
    patches = torch.randn(5, 6)
    with torch.no_grad():
        expected = layer(norm(patches))
    torch.testing.assert_close(patches @ weight.T + bias, expected, atol=1e-4, rtol=1e-3)
    assert details["loss"] == pytest.approx(loss.item(), abs=1e-4) and details["steps"] == 120


def test_dropout_leaves_out_channels_in_training_only():
    features, maps = class_maps(16, 0, noise=0.1)
    images = PatchImages(features.array, maps)
    plain, dropped = (
        train_layer(RecipeSettings(**SHORT, dropout=rate), images, 3, 16, 0, "cpu") for rate in (0.0, 0.5)
    )
    assert dropped[2]["loss"] > plain[2]["loss"] and not torch.allclose(dropped[0], plain[0])


def test_the_protocol_trains_by_it():
    given = segmented(with_val=True, noise=0.05)
    settings = SegLinearSettings(sgd=RecipeSettings(steps=150, warmup=10, lr=0.1))
    scores = SegLinear().score(settings, given)
    assert values(scores)["pixel_accuracy"] > 0.8 and scores.details["recipe"] == 1
    assert scores.details["num_train_images"] == 40 and set(scores.details["baselines"]) == {"position", "colour"}
    assert list(SegLinear().requests(settings, ["train", "val", "test"])) == ["train", "test"]


def test_controls_take_fewer_steps(monkeypatch):
    monkeypatch.setattr(seg_linear, "CONTROL_STEPS", 40)
    settings = SegLinearSettings(sgd=RecipeSettings(steps=1000, warmup=100, lr=0.3, batch_size=4))
    held, shuffled = SegLinear().controls(settings, segmented(size=(64, 64), grid=(8, 8)))
    assert held.holds and shuffled.holds


def test_what_cannot_be_trained_is_one_sentence():
    with pytest.raises(ValidationError, match="expected at most one of lambda_ and sgd, got both"):
        SegLinearSettings(lambda_=1.0, sgd=RecipeSettings())
    features, maps = class_maps(2, 0)
    unknown = [dataclasses.replace(each, pixels=lambda: np.full((24, 32), -1, np.int16)) for each in maps]
    with pytest.raises(IncompatibleError, match="got 2 train images without one that has a class"):
        train_layer(RecipeSettings(**SHORT), PatchImages(features.array, unknown), 3, 16, 0, "cpu")
