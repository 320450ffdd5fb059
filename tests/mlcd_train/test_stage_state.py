"""What a stage's result depends on, and outputs of configs in the form before objectives had settings of their own."""

import json

import pytest
import torch

from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.support.progress import Progress
from mlcd_train.stage_state import digest, is_done, stage_settings, weights_fingerprint
from mlcd_train.stages import TrainingRun

GRADIENT = "margin_gradient=exact"
FLAT = ("ratio", "margin", "scale", "centres", "centres_lr")


def in_the_old_form(settings):
    """Settings of fit as done.json held them before."""
    objective = settings["objective"]
    return settings | {"objective": objective["name"]} | {key: objective[key] for key in FLAT}


def test_a_digest_is_of_content_not_order(make_config):
    config = make_config()
    assert digest(config.fit) == digest(config.fit.model_dump(mode="json"))
    assert digest(config.fit) != digest(config.fit, 1)


def test_every_setting_of_the_objective_counts_for_fit_and_after_but_not_before(make_config):
    base = make_config(lit=True)
    for change in ("name=mlc", "margin=0.5", "ratio=0.5", "scale=32", "centres=clusters", "centres_lr=2", GRADIENT):
        config = make_config(f"fit.objective.{change}", lit=True)
        for stage in ("embed", "cluster", "assign", "fit", "lit", "export"):
            same = stage_settings(base, stage, "d", {}) == stage_settings(config, stage, "d", {})
            assert same == (stage in ("embed", "cluster", "assign")), (stage, change)


def test_a_checkpoint_is_identified_by_its_contents_not_its_place(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").write_bytes(b"x" * (3 << 20))
    first, second = (weights_fingerprint(str(tmp_path / folder)) for folder in ("a", "b"))
    assert first == second is not None
    (tmp_path / "b" / "model.safetensors").write_bytes(b"x" * (3 << 20) + b"y")
    assert weights_fingerprint(str(tmp_path / "b")) != first
    assert weights_fingerprint("python:module:make") is None


def test_an_output_made_by_a_config_of_the_old_form_is_refused(make_config):
    run = TrainingRun(make_config(), torch.device("cpu"), Progress())
    run.run()
    path = run.config.output / "fit" / "done.json"
    old = json.dumps(in_the_old_form(json.loads(path.read_text())))
    path.write_text(old)
    with pytest.raises(ConfigError, match=r"fit was made by another config: .*objective was \"mlcd\" and is null, obj"):
        run.run()
    assert path.read_text() == old and not is_done(run.config.output, {})


def test_a_state_of_a_config_of_the_old_form_is_refused(make_config):
    run = TrainingRun(make_config("fit.keep=1"), torch.device("cpu"), Progress())
    run.run()
    (run.config.output / "fit" / "done.json").unlink()
    state = run.config.output / "fit" / "state" / "step_0000004" / "state.json"
    document = json.loads(state.read_text())
    state.write_text(json.dumps(document | {"config": digest(in_the_old_form(run.settings("fit")))}))
    with pytest.raises(CheckpointError, match="step_0000004 is of another config than this one"):
        run.run_stage("fit")
