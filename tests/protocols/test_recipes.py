"""A probe whose recipe changes raises RECIPE.

Three steps of each recipe on small seeded inputs; golden/recipes.json holds what is seen of them and the recipe that it
is of. After a change, raise RECIPE in the probe's module and run `UPDATE_GOLDEN=1 pytest
tests/protocols/test_recipes.py`, which writes nothing under a recipe that has other numbers.
"""

import json
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from protocol_inputs import class_maps, pixel_values

from mlcd_eval.protocols.classification import attentive_head, onevision_head
from mlcd_eval.protocols.classification.attentive_training import train_attentive
from mlcd_eval.protocols.geometry import bins_head
from mlcd_eval.protocols.geometry.bins_settings import BinsSettings
from mlcd_eval.protocols.refcoco import mask_head
from mlcd_eval.protocols.segmentation import recipe
from mlcd_eval.protocols.segmentation.recipe_settings import RecipeSettings
from mlcd_eval.protocols.shared.patch_images import PatchImages
from mlcd_eval.support.resident import Rows

GOLDEN = Path(__file__).parent / "golden" / "recipes.json"
STEPS = 3
SENTENCES = 90  # more than a batch


def mask_head_steps():
    chance = torch.Generator().manual_seed(0)
    patches = torch.randn(SENTENCES, 4, 4, 3, generator=chance)
    text = torch.nn.functional.normalize(torch.randn(SENTENCES, 5, generator=chance), dim=1)
    coarse = torch.rand(SENTENCES, 1, 4, 4, generator=chance).round()

    def targets(index, side):
        return torch.nn.functional.interpolate(coarse[index], size=(side, side))[:, 0]

    mask_head.train_head(lambda index: (patches[index], text[index]), targets, SENTENCES, STEPS, 0, "cpu")


def attentive_head_steps(recipe=attentive_head.AIM):
    chance = np.random.default_rng(0)
    patches = chance.normal(size=(SENTENCES, 2, 2, 8)).astype(np.float32)
    train_attentive(recipe, Rows(patches, "cpu"), np.arange(SENTENCES) % 3, 3, 1e-3, 0.01, 0, "fp32", steps=STEPS)


def seg_linear_steps():
    features, maps = class_maps(SENTENCES, 0)
    settings = RecipeSettings(steps=STEPS, warmup=1)
    recipe.train_layer(settings, PatchImages(features.array, maps), 3, 16, 0, "cpu")


def bins_head_steps(steps=STEPS, **settings):
    features, values = pixel_values("depth", 20, 0)
    images = PatchImages(features.array, values)
    bins_head.train_bins(images, lambda depth: depth, BinsSettings(steps=steps, **settings), (1e-3, 10.0), 0, "cpu")


PROBES = {
    "depth_linear": (bins_head, bins_head_steps),
    "depth_linear_dinov2": (bins_head, partial(bins_head_steps, recipe="dinov2")),
    "refcoco": (mask_head, mask_head_steps),
    "seg_linear": (recipe, seg_linear_steps),
    "attentive_probe": (attentive_head, attentive_head_steps),
    "attentive_probe_onevision": (onevision_head, partial(attentive_head_steps, onevision_head.ONEVISION)),
}


def watched(train, monkeypatch):
    """What can be seen of each step of a training: its loss, and what the optimizer is given."""
    backward, losses, seen = torch.Tensor.backward, [], []

    def noted(loss, *given, **options):
        losses.append(loss.item())
        backward(loss, *given, **options)

    class Watched(torch.optim.AdamW):
        def step(self, *given, **options):
            (group,) = self.param_groups
            norm = torch.stack([parameter.grad.norm() for parameter in group["params"]]).norm()
            size = sum(parameter.numel() for parameter in group["params"])
            seen.append([group["lr"], group["weight_decay"], *group["betas"], group["eps"], float(norm), size])
            return super().step(*given, **options)

    monkeypatch.setattr(torch.Tensor, "backward", noted)
    monkeypatch.setattr(torch.optim, "AdamW", Watched)
    train()
    return [{"loss": loss, "optimizer": row} for loss, row in zip(losses, seen, strict=True)]


def same(measured, golden):
    """To a part in ten thousand: other processors round otherwise, no change of a recipe is that small."""
    return len(measured) == len(golden) and all(
        [step["loss"], *step["optimizer"]] == pytest.approx([wanted["loss"], *wanted["optimizer"]], rel=1e-4, abs=1e-9)
        for step, wanted in zip(measured, golden, strict=True)
    )


@pytest.mark.parametrize("name", PROBES)
def test_three_steps_change_only_with_the_recipe(name, monkeypatch):
    module, train = PROBES[name]
    measured = watched(train, monkeypatch)
    assert len(measured) == STEPS
    known = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    golden = known.get(name, {"recipe": None, "steps": []})
    assert golden["recipe"] != module.RECIPE or same(measured, golden["steps"]), (
        f"the recipe of {name}'s probe changed: raise RECIPE from {module.RECIPE} in {module.__name__} and the "
        f"protocol's version, then UPDATE_GOLDEN=1"
    )
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(json.dumps(known | {name: {"recipe": module.RECIPE, "steps": measured}}, indent=1) + "\n")
    else:
        assert golden["recipe"] == module.RECIPE, f"the golden steps are of recipe {golden['recipe']}: update them"
