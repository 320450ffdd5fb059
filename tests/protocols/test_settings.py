"""Settings of protocols: what a task that is silent means, and the least values."""

import pytest
from pydantic import ValidationError

from mlcd_eval.protocols.classification.adamw_probe import AdamWSettings
from mlcd_eval.protocols.geometry.bins_settings import BinsSettings
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol

DEFAULTS = {
    "knn": {"layer": "penultimate", "exif": False, "ks": (10, 20, 100, 200), "temperature": 0.07},
    "linear_probe": {
        "layer": "penultimate",
        "exif": False,
        "val_fraction": 0.2,
        "lambda_": None,
        "max_iter": 1000,
        "shots": None,
        "trials": 5,
        "normalise": False,
        "sweep": "clip",
        "c": None,
        "tolerance": 1e-6,
        "examples": "all",
        "adamw": None,
    },
    "clustering": {
        "split": "test",
        "layer": "penultimate",
        "exif": False,
        "normalise": False,
        "batch_size": 500,
        "random_state": 42,
    },
    "instance_retrieval": {
        "split": "test",
        "gallery": None,
        "layer": "penultimate",
        "ks": (1, 10, 100),
        "average_precision": "step",
        "expansion": None,
    },
    "retrieval": {
        "split": "test",
        "layer": "projected",
        "exif": False,
        "ks": (1, 5, 10),
        "captions_per_image": None,
        "language": None,
        "most_truncated": 1.0,
        "length_bins": (),
    },
    "association": {"split": "test", "layer": "projected", "exif": False, "prompt": "article", "metric": "jaccard"},
    "zeroshot": {"exif": False},
    "docvqa": {"max_new_tokens": 32, "mode": "auto"},
    "refcoco": {"steps": 1000},
    "correspondence": {"split": "test", "layer": "patches", "match": "pixels", "alphas": (0.1, 0.05)},
    "tracking": {"split": None, "layer": "patches", "frames": 7, "near": 12, "k": 5, "temperature": 0.1},
    "depth_linear": {
        "split": None,
        "layer": "patches",
        "lambda_": None,
        "val_fraction": 0.2,
        "target": "log",
        "min_depth": 1e-3,
        "max_depth": None,
        "crop": "none",
        "bins": None,
    },
    "normals_linear": {"split": None, "layer": "patches", "lambda_": None, "val_fraction": 0.2},
    "region_classification": {
        "split": None,
        "mode": "linear",
        "pool": "mask",
        "parts": 1,
        "regions": 200_000,
        "lambda_": None,
        "val_fraction": 0.2,
        "max_iter": 1000,
        "tolerance": 1e-5,
    },
    "region_retrieval": {
        "split": None,
        "pool": "mask",
        "truth": "class",
        "layer": "patches",
        "regions": 5000,
        "ks": (1, 5, 10),
    },
    "seg_knn": {"split": None, "layer": "patches", "k": 30, "temperature": 0.02, "patches": 200_000},
    "seg_linear": {
        "split": None,
        "layer": "patches",
        "patches": 500_000,
        "lambda_": None,
        "val_fraction": 0.2,
        "max_iter": 1000,
        "tolerance": 1e-5,
    },
    "seg_zeroshot": {"split": None, "layer": "value_patches", "background": "ignored", "templates": "clip"},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_what_a_silent_task_means(name):
    settings = get_protocol(name).Settings().model_dump()
    assert {key: settings[key] for key in DEFAULTS[name]} == DEFAULTS[name] and name in PROTOCOLS


def test_the_head_that_is_trained_to_bins_of_depth():
    known = {"number": 256, "steps": 38_400, "batch": 16, "learning_rate": 3e-4, "recipe": "dinov3", "beside": None}
    assert BinsSettings().model_dump() == known
    with pytest.raises(ValueError, match=r"expected bins, .* without lambda_ and target"):
        get_protocol("depth_linear").Settings(bins=BinsSettings(), lambda_=1.0, target="depth")
    with pytest.raises(ValueError, match=r"expected bins\.beside, a vector of a whole image, without window, got both"):
        get_protocol("depth_linear").Settings(bins=BinsSettings(beside="last_1/cls"), resolution=448, window=224)


def test_the_layer_that_is_trained_by_adamw():
    """clip_benchmark 1.6.2: cli.py's fewshot_lr 0.1, fewshot_epochs 10 and batch_size 64."""
    assert AdamWSettings().model_dump() == {"lr": 0.1, "epochs": 10, "batch_size": 64, "weight_decay": 0.0}
    assert AdamWSettings(epochs=1, batch_size=1, weight_decay=None).weight_decay is None
    for bad in ({"lr": 0}, {"epochs": 0}, {"batch_size": 0}, {"weight_decay": -1}):
        with pytest.raises(ValidationError):
            AdamWSettings(**bad)


@pytest.mark.parametrize(
    ("name", "least", "below"),
    [
        ("knn", {"ks": (1,), "temperature": 0.001}, {"ks": (), "temperature": 0}),
        ("knn", {"ks": (1, 2)}, {"ks": (0,)}),
        (
            "linear_probe",
            {"selection": "holdout", "val_fraction": 0.01, "max_iter": 1, "shots": 1, "trials": 1},
            {"val_fraction": 0, "max_iter": 0, "shots": 0, "trials": 0, "tolerance": 0, "c": 0, "lambda_": 0},
        ),
        ("linear_probe", {"selection": "holdout", "val_fraction": 0.99}, {"val_fraction": 1}),
        ("clustering", {"batch_size": 1, "random_state": 0}, {"batch_size": 0, "random_state": -1}),
        ("retrieval", {"ks": (1,), "captions_per_image": 1}, {"ks": (), "captions_per_image": 0}),
        ("instance_retrieval", {"ks": (1,), "map_at": 1}, {"ks": (), "map_at": 0, "precision_at": (0,)}),
        ("docvqa", {"max_new_tokens": 1}, {"max_new_tokens": 0}),
        ("refcoco", {"steps": 1}, {"steps": 0}),
        ("correspondence", {"alphas": (0.01,)}, {"alphas": (), "match": "points"}),
        ("correspondence", {"match": "patches"}, {"alphas": (0,)}),
        ("tracking", {"frames": 0, "near": 0, "k": 1}, {"frames": -1, "near": -1, "k": 0, "temperature": 0}),
        (
            "depth_linear",
            {"val_fraction": 0.01, "lambda_": 1e-9, "min_depth": 0.1, "max_depth": 0.11},
            {"val_fraction": 0, "lambda_": 0, "min_depth": 0, "max_depth": 0.001},
        ),
        ("normals_linear", {"val_fraction": 0.99}, {"val_fraction": 1, "lambda_": 0, "layer": "penultimate"}),
        (
            "region_classification",
            {"regions": 1, "parts": 1, "max_iter": 1},
            {"regions": 0, "parts": 0, "val_fraction": 0, "max_iter": 0, "tolerance": 0, "lambda_": 0, "pool": "cell"},
        ),
        ("region_retrieval", {"regions": 1, "ks": (1,)}, {"regions": 0, "ks": (), "truth": "scene"}),
        ("seg_knn", {"k": 1, "patches": 1, "temperature": 0.001}, {"k": 0, "patches": 0, "temperature": 0}),
        (
            "seg_linear",
            {"patches": 1, "val_fraction": 0.01, "max_iter": 1},
            {"patches": 0, "val_fraction": 0, "max_iter": 0, "tolerance": 0, "lambda_": 0},
        ),
        ("seg_linear", {"val_fraction": 0.99}, {"val_fraction": 1, "layer": "penultimate"}),
    ],
)
def test_the_least_values(name, least, below):
    kind = get_protocol(name).Settings
    made = kind(**least)
    assert {key: getattr(made, key) for key in least} == least
    for key, value in below.items():
        with pytest.raises(ValidationError):
            kind(**{key: value})


@pytest.mark.parametrize("two", [("lambda_", "c"), ("c", "adamw"), ("lambda_", "adamw")])
def test_a_probe_has_one_penalty(two):
    values = {"lambda_": 1.0, "c": 1.0, "adamw": AdamWSettings()}
    kind = get_protocol("linear_probe").Settings
    with pytest.raises(
        ValidationError, match=f"expected at most one of lambda_, c, adamw and sgd, got {' and '.join(two)}"
    ):
        kind(**{name: values[name] for name in two})
    assert kind().searches and not any(kind(**{name: values[name]}).searches for name in two)
