"""Trainings that are killed, that go on with other settings or ranks, and states that are refused."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_runs import run, same, stop_before

from mlcd_eval.errors import CheckpointError, DataError
from mlcd_eval.support.progress import Progress
from mlcd_train import loop
from mlcd_train.objectives.discrimination import ClusterDiscrimination
from mlcd_train.runlog import read_log
from mlcd_train.stages import TrainingRun
from mlcd_train.state import TrainingState


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    ("objective", "changes"),
    [
        ("mlcd", ()),
        ("cluster", ("fit.ema=0.9", "fit.accumulation=2")),
        ("clip", ("data.streams=2", "fit.drop_path=0.5", "fit.patch_dropout=0.25")),
        ("clip", ("fit.objective.loss=sigmoid", "fit.ema=0.9")),
        ("multi_softmax", ("fit.objective.subset=2",)),
        ("multi_sigmoid", ("fit.objective.ratio=0.5",)),
        ("mlcd", ("fit.precision=bf16", "fit.objective.centres=clusters", "model.embed_dim=32")),
    ],
)
def test_ten_steps_are_five_and_five_more(make_config, monkeypatch, objective, changes):
    changes = ("fit.steps=10", "fit.save_every=5", *changes)
    undisturbed = run(make_config(*changes, objective=objective, name="whole"))
    config = make_config(*changes, objective=objective, name="killed")
    with monkeypatch.context() as patch:
        stop_before(7, patch, Killed)
        with pytest.raises(Killed):
            run(config)
    assert not (config.output / "fit" / "done.json").exists()
    same(run(config), undisturbed)
    logs = [read_log(config.output.parent / name / "fit" / "log.jsonl") for name in ("whole", "killed")]
    assert [line["step"] for line in logs[1]] == list(range(1, 11))
    assert [line["loss"] for line in logs[0]] == [line["loss"] for line in logs[1]]


def test_a_run_that_goes_on_may_accumulate_more(make_config, monkeypatch):
    undisturbed = run(make_config(name="whole"))
    with monkeypatch.context() as patch:
        stop_before(3, patch, Killed)
        with pytest.raises(Killed):
            run(make_config(name="killed"))
    resumed = run(make_config("fit.accumulation=2", name="killed"))
    for name, tensor in undisturbed.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_lit_goes_on_likewise(make_config, monkeypatch):
    changes = ("lit.steps=6", "lit.loss=sigmoid")
    undisturbed = run(make_config(*changes, lit=True, name="whole"))
    config = make_config(*changes, lit=True, name="killed")
    run_fit_only = TrainingRun(config, torch.device("cpu"), Progress())
    for stage in ("embed", "cluster", "assign", "fit"):
        run_fit_only.run_stage(stage)
    with monkeypatch.context() as patch:
        stop_before(5, patch, Killed)
        with pytest.raises(Killed):
            run(config)
    same(run(config), undisturbed)
    assert "text.projection" in undisturbed


@pytest.mark.parametrize(
    ("objective", "streams"),
    [("mlcd", 2), *(pytest.param(other, 1, marks=pytest.mark.slow) for other in ("clip", "mlc"))],
)
def test_two_processes_train_what_one_does(make_config, unused_port, objective, streams):
    changes = (f"data.streams={streams}", "fit.accumulation=2", "fit.drop_path=0.3", "fit.patch_dropout=0.3")
    alone = run(make_config(*changes, objective=objective, name="one"))
    config = make_config(*changes, objective=objective, name="two")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={unused_port}"]
    command += ["-m", "mlcd_train", "run", str(make_config.path("two"))]
    command += [word for change in changes for word in ("--set", change)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(["tests", str(Path.cwd())])}
    subprocess.run(command, check=True, env=environment, capture_output=True, timeout=300)
    together = load_file(config.output / config.name / "model.safetensors")
    for name, tensor in alone.items():
        torch.testing.assert_close(together[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    losses = [
        [line["loss"] for line in read_log(config.output.parent / n / "fit" / "log.jsonl")] for n in ("one", "two")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_state_of_two_ranks_serves_one(make_config, unused_port, monkeypatch):
    undisturbed = run(make_config(name="whole"))
    config = make_config(name="two")
    command = [sys.executable, "-c", KILLED_AT_3, "run", str(make_config.path("two")), "--set", "data.workers=2"]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={unused_port}", "--no-python"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(["tests", str(Path.cwd())])}
    subprocess.run([sys.executable, *launch, *command], env=environment, capture_output=True, timeout=300)
    state = config.output / "fit" / "state" / "step_0000002"
    assert len(list(state.glob("centres_*.safetensors"))) == 2
    resumed = run(config)
    for name, tensor in undisturbed.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


KILLED_AT_3 = """
import os, sys, time
from pathlib import Path
from mlcd_train import loop
from mlcd_train.cli import main
original = loop.learning_rate
def rate(step, *rest):
    if step == 3:
        while not Path(sys.argv[2]).with_suffix("").joinpath("fit", "state", "step_0000002").exists():
            time.sleep(0.05)
        os._exit(9)
    return original(step, *rest)
loop.learning_rate = rate
sys.exit(main(sys.argv[1:]))
"""


def test_states_of_another_config_and_damaged_ones_are_refused(make_config, monkeypatch):
    config = make_config()
    with monkeypatch.context() as patch:
        stop_before(3, patch, Killed)
        with pytest.raises(Killed):
            run(config)
    state = config.output / "fit" / "state" / "step_0000002"
    before = {path.name: path.read_bytes() for path in state.iterdir()}
    with pytest.raises(CheckpointError, match="step_0000002 is of another config than this one"):
        run(make_config("fit.objective.margin=0.5"))
    assert {path.name: path.read_bytes() for path in state.iterdir()} == before
    (state / "model.safetensors").write_bytes(before["model.safetensors"][:-100])
    with pytest.raises(CheckpointError, match="step_0000002 is damaged"):
        run(config)
    (state / "model.safetensors").write_bytes(before["model.safetensors"])
    (state / "state.json").write_text('{"format_version": 1, "step": 2}')
    with pytest.raises(
        CheckpointError, match="is not a training state: expected format_version 1 and config, positions"
    ):
        run(config)
    (state / "state.json").write_bytes(before["state.json"])
    (state / "centres_0000000000.safetensors").unlink()
    with pytest.raises(CheckpointError, match="step_0000002 is damaged: 0 of 12 class centres found"):
        run(config)


def test_only_the_last_states_stay(make_config):
    config = make_config("fit.steps=6", "fit.save_every=1", "fit.keep=2")
    run(config)
    assert sorted(p.name for p in (config.output / "fit" / "state").iterdir()) == ["step_0000005", "step_0000006"]


def test_a_draw_ahead_changes_nothing(make_config, monkeypatch):
    """Beside a training that draws at the step itself: losses, weights and centres, also of a run that was killed."""
    changes = ("fit.steps=6", "fit.objective.positives_count=true", "fit.accumulation=2")
    configs = [make_config(*changes, name=name) for name in ("late", "ahead", "killed")]
    prepare, step = ClusterDiscrimination.prepare, ClusterDiscrimination.step
    with monkeypatch.context() as patch:
        patch.setattr(ClusterDiscrimination, "prepare", lambda *_: None)
        patch.setattr(ClusterDiscrimination, "step", lambda *args: prepare(*args[:3]) or step(*args))
        late = run(configs[0])
    same(run(configs[1]), late)
    with monkeypatch.context() as patch:
        stop_before(3, patch, Killed)
        with pytest.raises(Killed):
            run(configs[2])
    same(run(configs[2]), late)
    losses = [[line["loss"] for line in read_log(config.output / "fit" / "log.jsonl")] for config in configs]
    assert losses[0] == losses[1] == losses[2] and len(losses[0]) == 6
    centres = [next((config.output / "fit" / "state" / "step_0000006").glob("centres_*")) for config in configs]
    same(load_file(centres[1]), load_file(centres[0]))
    same(load_file(centres[2]), load_file(centres[0]))


def test_a_shard_that_changes_while_training_loses_nothing(make_config, pairs, monkeypatch, tmp_path):
    """The run stops with a sentence; when the shard is as it was, the same command goes on from the last state."""
    shutil.copytree(pairs, tmp_path / "crawl")
    tars = sorted((tmp_path / "crawl" / "train").glob("*.tar"))
    before = [path.stat().st_mtime_ns for path in tars]
    changes = (f"data.train=tars:{tmp_path}/crawl/train/*.tar", "data.shuffle=1", "fit.steps=10")
    undisturbed = run(make_config(*changes, objective="clip", name="whole"))
    config = make_config(*changes, objective="clip", name="stopped")
    original = loop.learning_rate

    def rate(number, *rest):
        if number == 4:
            for path in tars:
                os.utime(path, (1, 1))
        return original(number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", rate)
        with pytest.raises(DataError, match=r"\d.tar changed since it was scanned: run the same command again"):
            run(config)
    for path, time in zip(tars, before, strict=True):
        os.utime(path, ns=(time, time))
    assert len(read_log(config.output / "fit" / "log.jsonl")) >= 4
    same(run(config), undisturbed)


def test_nothing_to_load_is_no_state(tmp_path):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))])
    state = TrainingState([], optimizer, None, {}, torch.amp.GradScaler("cpu", enabled=False))
    assert not state.load(tmp_path, "x")
