"""DINOv3's and DINOv2's heads of bins against their own definitions."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from protocol_inputs import measured, values

from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.dialects import expanded
from mlcd_eval.protocols.geometry.beside import WithVectors
from mlcd_eval.protocols.geometry.bins_head import BinsHead, at_points, sig_loss
from mlcd_eval.protocols.geometry.bins_recipes import RECIPES, dinov2_schedule
from mlcd_eval.protocols.geometry.bins_recipes import dinov3_schedule as schedule
from mlcd_eval.protocols.geometry.depth_linear import DepthLinear, DepthLinearSettings
from mlcd_eval.protocols.layout import Layout


def test_the_depth_of_a_patch_is_the_weighted_mean_of_bins():
    """dinov3/eval/depth/models, FeaturesToDepth with linear bins and the linear norm, written out."""
    head = BinsHead(5, 8, 1e-3, 10.0, RECIPES["dinov3"]).eval()
    torch.nn.init.normal_(head.layer.weight)
    head.norm.running_mean.copy_(torch.linspace(-1, 1, 5))
    patches = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    depth = head(patches)
    assert depth.shape == (2, 3, 4)
    features = (patches[1, 2, 3] - head.norm.running_mean) / math.sqrt(1 + head.norm.eps)
    outputs = [max(0.0, float((row @ features).detach())) + 0.1 for row in head.layer.weight]
    bins = [1e-3 + n * (10 - 1e-3) / 7 for n in range(8)]
    expected = sum(o * b for o, b in zip(outputs, bins, strict=True)) / sum(outputs)
    assert float(depth[1, 2, 3].detach()) == pytest.approx(expected, rel=1e-5)


def test_the_loss_is_sigloss():
    depth, truth = torch.tensor([1.0, 2.0, 4.0, 3.0]), torch.tensor([1.5, 2.0, 3.0, torch.nan])
    logs = [math.log(d + 1e-3) - math.log(t + 1e-3) for d, t in ((1, 1.5), (2, 2), (4, 3))]
    mean = sum(logs) / 3
    variance = sum((each - mean) ** 2 for each in logs) / 2
    assert float(sig_loss(depth, truth, True)) == pytest.approx(math.sqrt(variance + 0.15 * mean**2), rel=1e-5)
    assert float(sig_loss(depth, truth, False)) == pytest.approx(math.sqrt(0.15) * abs(mean), rel=1e-5)
    assert float(sig_loss(depth[2:], truth[2:], True)) == 0.0  # one known point


def test_the_schedule_is_dinov3s():
    """WarmupOneCycleLR of 38,400 steps with 12,800 of warm-up, a final factor of 1,000 and div_factor 25."""
    assert schedule(0, 38_400) == (1e-3, 0.0)
    assert schedule(6400, 38_400)[0] == pytest.approx(1e-3 + (1 + math.cos(math.pi / 6)) / 4)
    assert schedule(12_799, 38_400)[1] == 0.0 and schedule(12_800, 38_400)[1] == 0.85
    assert schedule(25_600, 38_400)[1] == pytest.approx(0.9)
    low = 1 / 25_000
    assert schedule(19_199, 38_400)[0] == pytest.approx((1 + low) / 2)
    assert schedule(38_399, 38_400)[0] == pytest.approx(low)


def test_points_are_the_pixels_at_the_middles_of_parts():
    depth = np.arange(24 * 32, dtype=float).reshape(24, 32, 1)
    points = at_points(depth, Layout((4, 4)))  # of 8 x 8 pixels, whose 4 x 4 parts are 2 x 2
    assert points.shape == (16, 16) and points[0, 0] == depth[1, 1] and points[11, 15] == depth[23, 31]
    assert np.isnan(points[12:]).all() and np.isfinite(points[:12]).all()


def test_controls_are_of_the_exact_fit():
    given = measured("depth", size=(64, 64), grid=(8, 8))
    of_head = DepthLinear().controls(DepthLinearSettings(bins={"steps": 10**9}), given)
    assert of_head == DepthLinear().controls(DepthLinearSettings(), given)


def test_the_head_finds_depth():
    given = measured("depth", noise=0.05)
    settings = DepthLinearSettings(bins={"steps": 200, "learning_rate": 0.02}, max_depth=15.0)
    scores = DepthLinear().score(settings, given)
    exact = DepthLinear().score(DepthLinearSettings(max_depth=15.0), given)
    assert values(scores)["delta1"] > values(exact)["delta1"] - 0.1
    assert scores.details["recipe"] == 1 and "lambda" not in scores.details
    assert values(scores)["rmse"] < scores.details["baselines"]["position"]["rmse"]["value"] * 0.8
    assert list(DepthLinear().requests(settings, ["train", "val", "test"])) == ["train", "test"]


def test_dinov2s_head_is_a_layer_of_tokens_and_class_tokens_that_are_interpolated():
    """BNHead of dinov2/eval/depth: each patch with the class token, both upsampled by 4, a 1 x 1 convolution, bins."""
    chance = np.random.default_rng(0)
    tokens, classes = (chance.normal(size=size).astype(np.float32) for size in ((2, 3, 4, 5), (2, 6)))
    head = BinsHead(11, 8, 1e-3, 10.0, RECIPES["dinov2"]).eval()
    rows = WithVectors(tokens, classes)
    assert rows.shape == (2, 3, 4, 11) and len(rows) == 2 and rows[np.array([1])].shape == (1, 3, 4, 11)
    found = head(torch.from_numpy(rows[:]))
    maps = torch.from_numpy(tokens).permute(0, 3, 1, 2)
    both = torch.cat([maps, torch.from_numpy(classes)[:, :, None, None].expand(2, 6, 3, 4)], dim=1)
    fine = torch.nn.functional.interpolate(both, size=(12, 16), mode="bilinear", align_corners=False)
    outputs = torch.nn.functional.conv2d(fine, head.layer.weight[:, :, None, None], head.layer.bias).relu() + 0.1
    expected = torch.einsum("bkhw,k->bhw", outputs / outputs.sum(dim=1, keepdim=True), torch.linspace(1e-3, 10, 8))
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_the_schedule_is_that_of_dinov2s_configs():
    """mmcv's CosineAnnealing, warmup_iters 12,800 of 38,400 and warmup_ratio 0.001, and OneCycle momentum, pct 0.3."""
    assert dinov2_schedule(0, 38_400) == (pytest.approx(1e-3), 0.95)
    halfway = (1 + math.cos(math.pi / 6)) / 2  # less 1e-8
    assert dinov2_schedule(6400, 38_400)[0] == pytest.approx(halfway * (1 - 0.5 * 0.999), rel=1e-6)
    assert dinov2_schedule(19_200, 38_400)[0] == pytest.approx(0.5, rel=1e-6)
    assert dinov2_schedule(11_519, 38_400)[1] == pytest.approx(0.85)
    assert dinov2_schedule(38_399, 38_400) == (pytest.approx(1e-8, abs=1e-8), 0.95)


def test_dinov2s_dialect_reads_class_tokens_and_finds_depth():
    settings = DepthLinearSettings.model_validate(
        expanded(DepthLinear.dialects, "settings", {"dialect": "dinov2", "max_depth": 15.0})
    )
    requests = DepthLinear().requests(settings, ["train", "val", "test"])
    assert {role: (each.split, each.layer, each.letterbox) for role, each in requests.items()} == {
        "train": ("train", "patches", True),
        "test": ("test", "patches", True),
        "train@last_1/cls": ("train", "last_1/cls", True),
        "test@last_1/cls": ("test", "last_1/cls", True),
    }
    given = measured("depth", noise=0.05)
    images, chance = dict(given.images), np.random.default_rng(0)
    for role, of in given.images.items():
        images[f"{role}@last_1/cls"] = Features(chance.normal(size=(len(of.keys), 3)).astype(np.float16), of.keys)
    annotations = {role: given.annotations[role.partition("@")[0]] for role in images if role != "test@last_1/cls"}
    given = dataclasses.replace(given, images=images, annotations=annotations)
    bins = settings.bins.model_copy(update={"steps": 200, "learning_rate": 0.05})
    scores = DepthLinear().score(settings.model_copy(update={"bins": bins}), given)
    assert values(scores)["rmse"] < scores.details["baselines"]["position"]["rmse"]["value"] * 0.8
    assert DepthLinear().controls(settings, given) == DepthLinear().controls(DepthLinearSettings(max_depth=15.0), given)
