"""Sections of a training config: what a config that is silent means, and the least and largest values."""

import pytest
from pydantic import ValidationError

from mlcd_eval.encoders.towers.text_transformer import TEXT_SIZES, TextConfig
from mlcd_eval.encoders.towers.vit import VIT_SIZES, VisionConfig
from mlcd_train.sections import (
    AssignConfig,
    Augmentation,
    ClusterConfig,
    DataConfig,
    EvaluateConfig,
    LoopConfig,
    OptimizerConfig,
)

VISION = {"image_size": 1, "patch_size": 1, "width": 1, "depth": 1, "heads": 1}
TEXT = {"width": 1, "depth": 1, "heads": 1}


def test_what_a_silent_config_means():
    expected = {
        "split": None,
        "streams": None,
        "shuffle": 10_000,
        "workers": 0,
        "decoder": "pil",
        "allow_bad": 0.01,
        "min_side": 8,
        "shard_cache": 50.0,
    }
    data = DataConfig(train="x").model_dump()
    assert {name: data[name] for name in expected} == expected
    assert Augmentation().model_dump() == {"scale": (0.4, 1.0), "ratio": (0.75, 4 / 3), "flip": 0.0}
    expected = {
        "activation_checkpointing": False,
        "compile": False,
        "save_every": 1000,
        "keep": 2,
        "log_every": 10,
        "log_to": (),
        "evaluate": None,
    }
    loop = LoopConfig(steps=1).model_dump()
    assert {name: loop[name] for name in expected} == expected
    assert EvaluateConfig(every=1, tasks=("x",)).keep is False
    full = VisionConfig(**VISION)
    assert (full.mlp_ratio, full.rope_theta, full.pre_norm, full.norm_eps) == (4.0, 10000.0, True, 1e-5)
    text = TextConfig(**TEXT)
    assert (text.context_length, text.vocab_size) == (77, 49408)  # CLIP's


def test_sizes_have_the_shapes_of_their_names():
    """Width, depth and heads of ViT-Ti, S, B and L (Touvron et al. 2021, table 1; Dosovitskiy et al. 2021, table 1)."""
    shapes = {"tiny": (192, 12, 3), "small": (384, 12, 6), "base": (768, 12, 12), "large": (1024, 24, 16)}
    for name, size in VIT_SIZES.items():
        assert (size.width, size.depth, size.heads) == shapes[name.split("_")[1]]
        assert (size.activation, size.positions, size.mlp_ratio) == ("gelu", "absolute", 4.0)
    assert {name: (size.context_length, size.width, size.depth, size.heads) for name, size in TEXT_SIZES.items()} == {
        "text_tiny": (32, 192, 4, 3),
        "text_base": (77, 512, 12, 8),
        "text_large": (77, 768, 12, 12),
    }


LEAST = [
    (
        DataConfig,
        {"train": ("x",), "streams": 1, "shuffle": 1, "workers": 0, "allow_bad": 0, "min_side": 1, "shard_cache": 0.1},
    ),
    (Augmentation, {"scale": (0.1, 0.1), "ratio": (0.1, 0.1), "flip": 0}),
    (ClusterConfig, {"k": 1, "iterations": 1, "tolerance": 0, "batch": 1}),
    (AssignConfig, {"labels": 1, "threshold": -1}),
    (
        OptimizerConfig,
        {
            "lr": 0.1,
            "weight_decay": 0,
            "betas": (0.1, 0.1),
            "warmup": 0,
            "cooldown": 0.1,
            "min_lr": 0,
            "layer_decay": 0.1,
            "grad_clip": 0.1,
        },
    ),
    (
        LoopConfig,
        {"batch_size": 1, "steps": 1, "accumulation": 1, "save_every": 1, "keep": 1, "log_every": 1, "ema": 0.1},
    ),
    (EvaluateConfig, {"every": 1, "keep": True}),
    (VisionConfig, VISION | {"mlp_ratio": 0.5, "norm_eps": 0.5}),
    (TextConfig, TEXT | {"context_length": 3, "vocab_size": 49408}),
]
BELOW = [
    (
        DataConfig,
        {"train": "x"},
        {"train": (), "streams": 0, "shuffle": 0, "workers": -1, "allow_bad": -0.1, "min_side": 0, "shard_cache": 0},
    ),
    (DataConfig, {"train": "x"}, {"allow_bad": 1.0}),
    (Augmentation, {}, {"scale": (0, 1), "ratio": (0, 1), "flip": -0.1}),
    (Augmentation, {}, {"scale": (0.5, 1.01), "flip": 1.01}),
    (ClusterConfig, {"k": 1}, {"k": 0, "iterations": 0, "tolerance": -1, "batch": 0}),
    (AssignConfig, {}, {"labels": 0, "threshold": -1.1}),
    (
        OptimizerConfig,
        {},
        {
            "lr": 0,
            "weight_decay": -1,
            "betas": (0, 0.5),
            "eps": 0,
            "warmup": -1,
            "cooldown": 0,
            "min_lr": -1,
            "layer_decay": 0,
            "grad_clip": 0,
        },
    ),
    (OptimizerConfig, {}, {"betas": (0.5, 1.0), "cooldown": 1.01, "layer_decay": 1.01}),
    (
        LoopConfig,
        {"steps": 1},
        {"batch_size": 0, "steps": 0, "accumulation": 0, "save_every": 0, "keep": 0, "log_every": 0, "ema": 0},
    ),
    (LoopConfig, {"steps": 1}, {"ema": 1.0}),
    (EvaluateConfig, {"every": 1, "keep": True}, {"every": 0, "keep": False}),
    (VisionConfig, VISION, dict.fromkeys(VISION, 0) | {"mlp_ratio": 0, "norm_eps": 0}),
    (TextConfig, TEXT, dict.fromkeys(TEXT, 0) | {"context_length": 2, "vocab_size": 49407}),
]


@pytest.mark.parametrize(("section", "values"), LEAST)
def test_the_least_values_are_accepted(section, values):
    made = section(**values)
    assert {name: getattr(made, name) for name in values} == values


@pytest.mark.parametrize(
    ("section", "good", "name", "value"),
    [(section, good, name, value) for section, good, bad in BELOW for name, value in bad.items()],
)
def test_values_beyond_the_ends_are_refused(section, good, name, value):
    section(**good)
    with pytest.raises(ValidationError):
        section(**{**good, name: value})


def test_the_largest_values_are_accepted():
    assert Augmentation(scale=(1, 1), flip=1).flip == 1 and AssignConfig(threshold=1).threshold == 1
    assert OptimizerConfig(cooldown=1, layer_decay=1).cooldown == 1
    assert LoopConfig(batch_size=6, accumulation=3, epochs=0.5).epochs == 0.5
    with pytest.raises(ValidationError, match="either epochs or steps, got epochs None and steps None"):
        LoopConfig()
