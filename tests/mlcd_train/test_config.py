"""Configs: names become sizes, changes apply, and what cannot work is reported in one sentence."""

import json
import re
from pathlib import Path

import pytest

import mlcd_train
from mlcd_eval.encoders.towers.vit import VIT_SIZES
from mlcd_eval.errors import ConfigError
from mlcd_train.config import TrainConfig, load_config
from mlcd_train.objectives import OBJECTIVES
from mlcd_train.objectives.discrimination import ClusterSettings
from mlcd_train.sections import AssignConfig, ClusterConfig, LoopConfig


def test_sizes_by_name_with_changes(make_config):
    assert make_config("model.vision=vit_base_32_224").model.vision == VIT_SIZES["vit_base_32_224"]
    rope = make_config("model.vision={size: vit_tiny_16_64, positions: rope2d}").model.vision
    assert rope == VIT_SIZES["vit_tiny_16_64"].model_copy(update={"positions": "rope2d"})


def test_changes_on_the_command_line(make_config):
    config = make_config("fit.optimizer.lr=2e-3", "data.augmentation.flip=0.5", "fit.ema=0.99")
    assert (config.fit.optimizer.lr, config.data.augmentation.flip, config.fit.ema) == (2e-3, 0.5, 0.99)


ALONE = {name: objective for name, objective in OBJECTIVES.items() if name not in ("heads", "rice")}
"""Objectives for which a name is enough."""


def test_the_pages_table_of_objectives_is_true():
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    rows = dict(re.findall(r"^\| `{name: (\w+)}` \|.*\| (.*) \|$", page, flags=re.MULTILINE))
    settings = {name: objective().model_dump(exclude={"name"}) for name, objective in ALONE.items()}

    def printed(value):
        return str(value).lower() if isinstance(value, str | bool | None) else f"{value:g}"

    def listed(values):
        return ", ".join(f"{key} {printed(value)}" for key, value in values.items())

    def like_mlcd(values):
        others = {key: value for key, value in values.items() if settings["mlcd"].get(key, ...) != value}
        return f"the same, but {listed(others)}" if others else "the same"

    expected = {name: listed(values) for name, values in settings.items()}
    of_classes = [name for name, objective in ALONE.items() if issubclass(objective, ClusterSettings)]
    expected |= {name: like_mlcd(settings[name]) for name in of_classes if name != "mlcd"}
    assert rows == expected


@pytest.mark.parametrize("objective", ALONE)
def test_an_objective_by_its_name_alone_has_its_defaults(make_config, objective):
    short = make_config(objective=objective)
    assert short.fit.objective == OBJECTIVES[objective]()
    assert make_config(f"fit.objective={{name: {objective}}}", objective=objective) == short


def test_changes_reach_into_sections_that_a_name_is_short_for(make_config):
    config = make_config(
        "fit.objective.margin=0.5", "fit.objective.ratio=1", "model.vision=vit_tiny_16_64", "model.vision.depth=3"
    )
    assert config.fit.objective == OBJECTIVES["mlcd"](margin=0.5, ratio=1)
    assert config.model.vision == VIT_SIZES["vit_tiny_16_64"].model_copy(update={"depth": 3})


def test_settings_beside_the_objective_get_the_new_form(make_config):
    old = ("fit.centres=clusters", "fit.ratio=0.5")
    with pytest.raises(ConfigError, match=r"fit\.centres, fit\.ratio have moved: write objective: ") as error:
        make_config(*old)
    new_form = str(error.value).partition("write objective: ")[2]
    assert make_config(f"fit.objective={new_form}").fit.objective == OBJECTIVES["mlcd"](centres="clusters", ratio=0.5)
    with pytest.raises(ConfigError, match=r"no fit\.margin with fit\.objective clip, which has no such setting"):
        make_config("fit.margin=0.5", objective="clip")


def test_what_an_objective_that_trains_a_text_tower_refuses_and_needs(make_config):
    for change, sentence in (
        (
            "lit={text: text_tiny, steps: 1}",
            "no section lit with fit.objective clip, which trains the text tower itself",
        ),
        ("model.text=null", "model.text and model.embed_dim, since fit.objective is clip"),
        ("model.embed_dim=null", "model.text and model.embed_dim, since fit.objective is clip"),
    ):
        with pytest.raises(ConfigError, match=sentence):
            make_config(change, objective="clip")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("fit.learning_rate=1", r"unknown key 'fit.learning_rate', expected one of .*"),
        ("model.vision=vit_tiny_16", r"'model.vision' is 'vit_tiny_16', expected one of .*mean 'vit_tiny_16_64'"),
        ("assign.labels=12", r"assign.labels less than cluster.k = 12, got 12: an image of all classes has no negat"),
        (
            "cluster={k: 12, batch: 8, search: grouped}",
            r"search: exact with batch, since groups",
        ),
        ("cluster.k=1", r"cluster.k at least 2, got 1: a single class has no negatives"),
        ("fit.objective.ratio=0", r"'fit.objective.ratio' is 0, expected greater than 0"),
        ("fit.objective.ratio=1.5", r"'fit.objective.ratio' is 1.5, expected less than or equal to 1"),
        ("fit.objective.ratio=.nan", r"'fit.objective.ratio' is nan, expected"),
        ("fit.objective.scale=.inf", r"'fit.objective.scale' is inf, expected a finite number"),
        ("fit.objective.margin=3.2", r"'fit.objective.margin' is 3.2, expected less than 3.14"),
        ("assign.threshold=1.5", r"'assign.threshold' is 1.5, expected less than or equal to 1"),
        ("model.vision={size: vit_tiny_16_64, heads: 5}", r"expected width a multiple of 5 heads x 1, got 192"),
        (
            "model.vision={size: vit_tiny_16_64, heads: 96, positions: rope2d}",
            r"expected width a multiple of 96 heads x 4, got 192",
        ),
        ("model.vision={size: vit_tiny_16_64, patch_size: 65}", r"expected patch_size at most image_size = 64, got 65"),
        ("lit={text: {size: text_tiny, heads: 7}, steps: 1}", r"expected width a multiple of 7 heads, got 192"),
        ("lit={text: {size: text_tiny, vocab_size: 9}, steps: 1}", r"expected greater than or equal to 49408"),
        ("fit.objective=cluster", r"assign.labels: 1 with fit.objective cluster, got 3"),
        ("fit.objective=clip", r"no section embed with fit.objective clip"),
        ("fit.epochs=3", r"either epochs or steps, got epochs 3.0 and steps 4"),
        ("fit.accumulation=3", r"accumulation that divides batch_size, got 3 and 8"),
        ("embed={model: x, source: mean, layer: penultimate}", r"layer: projected, the joint space"),
        ("name=fit", r"another name than 'fit'"),
        ("name=../up", r"'name' is '../up', expected text of the form"),
        ("model.text=text_tiny", r"no model.text with fit.objective mlcd"),
        ("data.augmentation.scale=[0.9, 0.5]", r"expected scale and ratio as \[low, high\]"),
        ("seed", r"--set got 'seed', expected SECTION.KEY=VALUE"),
        ("fit.objective.x=1", r"unknown key 'fit.objective.x', expected one of name, ratio, positives_count, .*"),
        ("fit.objective={name: clip, margin: 0.5}", r"unknown key 'fit.objective.margin', expected one of name, loss$"),
        ("fit.objective=mlcdd", r"'fit.objective.name' is 'mlcdd', expected one of .*mean 'mlcd'\?"),
        ("fit.objective={margin: 0.5}", r"the key 'fit.objective.name' is missing"),
        ("fit.objective=3", r"'fit.objective' is 3, expected a mapping"),
        ("fit.margin=0.5", r"fit.margin has moved: write objective: \{name: mlcd, margin: 0.5\}$"),
        ("name.x=1", r"'name' is 'mlcd_tiny', expected a section"),
        ("seed=[", r"not plain YAML"),
    ],
)
def test_mistakes_are_one_sentence(make_config, change, sentence):
    with pytest.raises(ConfigError, match=sentence) as error:
        make_config(change)
    assert "\n" not in str(error.value)


def test_commands_are_run_only_with_consent(make_config, tmp_path):
    marker = tmp_path / "ran"
    for train in (f"tars:pipe:touch {marker}", [f"tars:{tmp_path}", f"tars:pipe:touch {marker}"]):
        change = f"data.train={json.dumps(train)}"
        with pytest.raises(ConfigError, match=r"data.train: got 'tars:pipe:touch .*' *, a command .* --allow-pipes"):
            make_config(change)
        assert load_config(make_config.path(), [change], allow_pipes=True).data.train
    assert not marker.exists()


def test_a_section_that_the_objective_needs(make_config):
    values = make_config().model_dump(mode="json", exclude={"cluster"})
    with pytest.raises(ValueError, match=r"a section cluster, since fit\.objective is mlcd"):
        TrainConfig.model_validate(values)


def test_bundled_configs_are_valid():
    paths = sorted((Path(mlcd_train.__file__).parent / "configs").glob("*.yaml"))
    assert {"demo_clip", "demo_mlcd"} <= {load_config(path).name for path in paths}


def test_defaults_stay_what_they_were():
    """What a config does not name is part of its recipe all the same."""
    assert ClusterConfig(k=2).model_dump() == {
        "k": 2, "start": "sample", "iterations": 20, "tolerance": 1e-4, "batch": None, "search": "exact",
    }  # fmt: skip
    assert AssignConfig().model_dump() == {"labels": 8, "threshold": None, "vocabulary": None, "heads": {}}
    loop = LoopConfig(steps=1).model_dump()
    assert loop.pop("optimizer") == {
        "lr": 5e-4, "weight_decay": 0.2, "betas": (0.9, 0.98), "eps": 1e-6, "warmup": 2000, "min_lr": 0.0,
        "grad_clip": 1.0, "schedule": "cosine", "cooldown": 0.2, "layer_decay": 1.0,
    }  # fmt: skip
    assert {name: loop[name] for name in ("batch_size", "accumulation", "precision", "ema")} == {
        "batch_size": 256, "accumulation": 1, "precision": "fp32", "ema": None,
    }  # fmt: skip
