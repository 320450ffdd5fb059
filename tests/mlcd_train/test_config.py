"""Configs: names become sizes, changes apply, and what cannot work is told in one sentence."""

import pytest

from mlcd_eval.encoders.towers.vit import VIT_SIZES
from mlcd_eval.errors import ConfigError
from mlcd_train.config import TrainConfig, digest, load_config


def test_sizes_by_name_with_changes(make_config):
    assert make_config("model.vision=vit_base_32_224").model.vision == VIT_SIZES["vit_base_32_224"]
    rope = make_config("model.vision={size: vit_tiny_16_64, positions: rope2d}").model.vision
    assert rope == VIT_SIZES["vit_tiny_16_64"].model_copy(update={"positions": "rope2d"})


def test_changes_on_the_command_line(make_config):
    config = make_config("fit.optimizer.lr=2e-3", "data.augmentation.flip=0.5", "fit.ema=0.99")
    assert (config.fit.optimizer.lr, config.data.augmentation.flip, config.fit.ema) == (2e-3, 0.5, 0.99)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("fit.learning_rate=1", r"unknown key 'fit.learning_rate', expected one of .*"),
        ("model.vision=vit_tiny_16", r"'model.vision' is 'vit_tiny_16', expected one of .*mean 'vit_tiny_16_64'"),
        ("assign.labels=13", r"assign.labels at most cluster.k = 12, got 13"),
        ("fit.ratio=0", r"'fit.ratio' is 0, expected greater than 0"),
        ("fit.ratio=1.5", r"'fit.ratio' is 1.5, expected less than or equal to 1"),
        ("fit.ratio=.nan", r"'fit.ratio' is nan, expected"),
        ("fit.scale=.inf", r"'fit.scale' is inf, expected a finite number"),
        ("fit.margin=3.2", r"'fit.margin' is 3.2, expected less than 3.14"),
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
        ("fit.objective.x=1", r"'objective' is 'mlcd', expected a section"),
        ("seed=[", r"not plain YAML"),
    ],
)
def test_mistakes_are_one_sentence(make_config, change, sentence):
    with pytest.raises(ConfigError, match=sentence) as error:
        make_config(change)
    assert "\n" not in str(error.value)


def test_a_section_that_the_objective_needs(make_config):
    values = make_config().model_dump(mode="json", exclude={"cluster"})
    with pytest.raises(ValueError, match=r"a section cluster, since fit\.objective is mlcd"):
        TrainConfig.model_validate(values)


def test_bundled_configs_are_valid():
    from pathlib import Path

    import mlcd_train

    found = sorted((Path(mlcd_train.__file__).parent / "configs").glob("*.yaml"))
    assert {"demo_clip", "demo_mlcd"} <= {load_config(path).name for path in found}


def test_a_digest_is_of_content_not_order(make_config):
    config = make_config()
    assert digest(config.fit) == digest(config.fit.model_dump(mode="json"))
    assert digest(config.fit) != digest(config.fit, 1)
