"""The loop: exact resumption, two processes against one, precision, averages, logs, and what stops it."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.towers.vit import Block
from mlcd_eval.errors import CheckpointError, ConfigError, DataError
from mlcd_eval.running.checkpoints import find_checkpoints
from mlcd_eval.support.progress import ConsoleProgress, Progress
from mlcd_train import loop
from mlcd_train.centres import ClassCentres
from mlcd_train.cli import main
from mlcd_train.clock import PHASES, Clock
from mlcd_train.data.batches import Bad
from mlcd_train.loop import NonFiniteLoss
from mlcd_train.objectives.discrimination import ClusterDiscrimination
from mlcd_train.optimizer import WeightAverage, learning_rate, make_optimizer
from mlcd_train.runlog import read_log
from mlcd_train.sections import OptimizerConfig
from mlcd_train.stages import TrainingRun
from mlcd_train.state import TrainingState


class Killed(Exception):
    pass


def run(config):
    training = TrainingRun(config, torch.device("cpu"), Progress())
    training.run()
    return load_file(training.checkpoint / "model.safetensors")


def kill_before_step(monkeypatch, step):
    original = loop.learning_rate

    def rate(number, *rest):
        if number == step:
            raise Killed
        return original(number, *rest)

    monkeypatch.setattr(loop, "learning_rate", rate)


def same(first, second):
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name


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
        kill_before_step(patch, 7)
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
        kill_before_step(patch, 3)
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
        kill_before_step(patch, 5)
        with pytest.raises(Killed):
            run(config)
    same(run(config), undisturbed)
    assert "text.projection" in undisturbed


def test_lit_leaves_the_image_tower_as_it_was(make_config):
    config = make_config("lit.images=augmented", lit=True)
    both = run(config)
    tower = load_file(config.output / "fit" / "model" / "model.safetensors")
    same({name: both[name] for name in tower}, tower)


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


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("objective", ["mlcd", "clip"])
def test_half_precision_trains(make_config, precision, objective):
    """fp16 leaves out its first steps while the scaler comes down from 65536: the losses agree before, not in step."""
    changes = ("fit.steps=16", "fit.optimizer.lr=3e-3")
    losses = {}
    for name in ("fp32", precision):
        config = make_config(*changes, f"fit.precision={name}", objective=objective, name=name)
        assert all(tensor.isfinite().all() for tensor in run(config).values())
        losses[name] = [line["loss"] for line in read_log(config.output / "fit" / "log.jsonl")]
    assert losses[precision][0] == pytest.approx(losses["fp32"][0], rel=0.01)
    fallen = [max(series[:2]) - min(series[-4:]) for series in losses.values()]
    assert fallen[1] > 0.5 * fallen[0] > 0


@pytest.mark.parametrize(
    "changes", [("fit.activation_checkpointing=true",), ("model.vision.positions=rope2d", "fit.accumulation=2")]
)
def test_compiled_towers_train_alike(make_config, monkeypatch, changes):
    """By a backend that traces forward and backward and leaves out the C++ compiler, which takes minutes."""
    plain = run(make_config(*changes, lit=True, name="plain"))
    compiled = torch.nn.Module.compile
    monkeypatch.setenv("CXX", sys.executable)  # nothing is compiled by it
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled(module, backend="aot_eager"))
    changes = (*changes, "fit.compile=true", "lit.compile=true")
    tensors = run(make_config(*changes, lit=True, name="compiled"))
    assert tensors.keys() == plain.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(tensors[name], tensor, rtol=1e-4, atol=1e-5, msg=name)


def test_activation_checkpointing_computes_blocks_twice_and_changes_nothing(make_config, monkeypatch):
    """Each block once more in backward, since only its input is kept."""
    forward, calls, weights, counts = Block.forward, [], {}, {}
    monkeypatch.setattr(Block, "forward", lambda *given, **options: calls.append(1) or forward(*given, **options))
    for checkpointed in ("true", "false"):
        calls.clear()
        weights[checkpointed] = run(make_config(f"fit.activation_checkpointing={checkpointed}", name=checkpointed))
        counts[checkpointed] = len(calls)
    same(weights["true"], weights["false"])
    blocks, steps = 2, 4
    assert counts == {"false": blocks * steps, "true": 2 * blocks * steps}


def test_a_loss_that_is_no_number_stops_with_its_step(make_config):
    config = make_config("fit.optimizer.lr=1e30", "fit.optimizer.warmup=0", "fit.optimizer.grad_clip=null")
    with pytest.raises(NonFiniteLoss, match=r"the (loss|gradient norm) of step [1-3] is (nan|inf), expected a number"):
        run(config)
    assert not (config.output / "fit" / "done.json").exists()


def test_a_diverged_run_follows_its_own_advice(make_config, monkeypatch):
    """Its loss becomes NaN after a state; the sentence's move and flags are then enough to finish."""
    config = make_config()
    with monkeypatch.context() as patch:
        step = ClusterDiscrimination.step
        patch.setattr(
            ClusterDiscrimination,
            "step",
            lambda self, batch, number, *rest: (
                step(self, batch, number, *rest) | ({"loss": torch.tensor(math.nan)} if number == 3 else {})
            ),
        )
        with pytest.raises(NonFiniteLoss, match="the loss of step 3 is nan, expected a number: move ") as error:
            run(config)
    words = str(error.value).replace(",", "").split()
    source, target = words[words.index("move") + 1], words[words.index("to") + 1]
    Path(source).rename(target)
    flags = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    again = make_config(*flags)
    assert again.fit.optimizer.lr == config.fit.optimizer.lr / 2
    run(again)
    facts = load_checkpoint(again.output / again.name).config.provenance
    assert facts["continued_from"].endswith("fit_diverged/state/step_0000002")
    assert "optimizer.lr was 0.001 and is 0.0005" in facts["continued_changes"]


def test_advice_before_the_first_state_and_for_lit(tmp_path):
    def advice(stage):
        return str(loop._non_finite("x", tmp_path / stage, 0.5, 1, "loss", math.nan))

    assert "a number: run again with --set fit.optimizer.lr=0.25 (" in advice("fit")
    (tmp_path / "lit" / "state" / "step_0000001").mkdir(parents=True)
    (tmp_path / "lit" / "state" / "step_0000001" / "state.json").touch()
    assert (
        f"move {tmp_path / 'lit'} to {tmp_path / 'lit_diverged'} and run again with --set lit.optimizer.lr=0.25 ("
        in advice("lit")
    )


def test_a_warm_up_that_outlasts_training_is_reported(make_config, capsys):
    for steps, said in (
        (2, "warm-up takes 2 steps and training 2, so that the learning rate ends at 0.001 of 0.001"),
        (3, ""),
    ):
        config = make_config("fit.epochs=null", f"fit.steps={steps}", name=f"steps{steps}")
        TrainingRun(config, torch.device("cpu"), ConsoleProgress()).run()
        assert ("warm-up" in (err := capsys.readouterr().err)) == bool(said) and said in err


def test_states_of_another_config_and_damaged_ones_are_refused(make_config, monkeypatch):
    config = make_config()
    with monkeypatch.context() as patch:
        kill_before_step(patch, 3)
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


def test_the_log_has_the_papers_curves_and_evaluations(make_config, monkeypatch):
    config = make_config(
        "fit.evaluate={every: 2, tasks: [knn/demo_clipart]}",
        "model.vision={size: vit_tiny_16_64, depth: 1}",
        "fit.log_to=[tensorboard]",
    )
    run(config)
    lines = read_log(config.output / "fit" / "log.jsonl")
    wanted = {"loss", "positive", "negative", "positive_cosine", "negative_cosine", "lr", "images_per_s", "memory_gib"}
    wanted |= {"positive_below_0", "negative_below_0", *(f"seconds/{phase}" for phase in PHASES)}
    assert wanted <= set(lines[0])
    scores = [line["knn/demo_clipart/knn_acc1@20"] for line in lines if "knn/demo_clipart/knn_acc1@20" in line]
    assert len(scores) == 2 and all(0 < score < 1 for score in scores)
    assert list((config.output / "fit" / "tensorboard").glob("events*"))
    assert not list((config.output / "fit").glob(".evaluate*"))


def test_checkpoints_may_be_kept_for_watch(make_config):
    config = make_config("fit.evaluate={every: 2, keep: true}")
    run(config)
    kept = [(checkpoint.path.name, checkpoint.step) for checkpoint in find_checkpoints(config.output)]
    assert kept == [(f"{config.name}_step2", 2), (f"{config.name}_step4", 4)]
    last = load_encoder(str(config.output / "fit" / "checkpoints" / f"{config.name}_step4"))
    assert last.info.fingerprint == load_encoder(str(config.output / config.name)).info.fingerprint
    with pytest.raises(ConfigError, match="tasks, or keep: true"):
        make_config("fit.evaluate={every: 2}")


def test_a_half_written_last_line_is_no_line(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps({"step": 1}) + '\n{"step": 2, "lo')
    assert read_log(path) == [{"step": 1}]


def test_provenance_travels_into_records(make_config, tmp_path):
    import mlcd_eval

    config = make_config(lit=True)
    run(config)
    extra = load_checkpoint(config.output / config.name).config.provenance
    assert json.loads(extra["config"])["fit"]["objective"]["name"] == extra["objective"] == "mlcd"
    assert extra["seed"] == "0" and extra["images_seen"] == "32" and len(extra["train_fingerprint"]) == 64
    [result] = mlcd_eval.evaluate(
        str(config.output / config.name),
        "retrieval/demo_captions",
        output=tmp_path / "o",
        cache=tmp_path / "c",
        limit=20,
    )
    assert result.model.name == "mlcd_tiny" and result.status == "ok"
    assert result.model.extra == {**extra, "pooling": "token"}


def test_images_per_second_are_those_since_the_last_reading(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(loop.time, "perf_counter", lambda: now[0])
    meter, cpu = loop._Meter(), torch.device("cpu")
    for seconds, images, bad in ((2.0, 8, [Bad("too small", "a")]), (0.5, 4, [])):
        now[0] += seconds
        meter.add(images, bad)
    assert meter.read(cpu)["images_per_s"] == pytest.approx((8 + 4) / 2.5)
    now[0] += 4.0
    meter.add(2, [Bad("too small", "b"), *[Bad("undecodable", "c")] * 2])
    second = meter.read(cpu)
    assert second["images_per_s"] == pytest.approx(2 / 4) and second["bad_images"] == 4
    assert second["bad_images/too small"] == second["bad_images/undecodable"] == 2
    now[0] += 100.0
    meter.restart()
    now[0] += 2.0
    meter.add(6, [])
    assert meter.read(cpu)["images_per_s"] == pytest.approx(3)
    assert 0.01 < second["memory_gib"] < 1000


def test_the_clock_gives_each_phase_its_time(monkeypatch):
    """Two steps with centres within backward, as the hooks see them, and 50 s of evaluation that count nowhere."""
    now = [0.0]
    monkeypatch.setattr("mlcd_train.clock.time.perf_counter", lambda: now[0])
    clock = Clock(torch.device("cpu"))
    step = [("data", 1), ("forward", 2), ("centres", 3), ("backward", 4), ("centres", 5), ("backward", 6)]
    for phase, seconds in [*step, ("optimizer", 7), ("other", 50)] * 2:
        clock.enter(phase)
        now[0] += seconds
    clock.enter("data")
    expected = {"data": 1, "forward": 2, "backward": 10, "centres": 8, "optimizer": 7}
    assert clock.read() == {f"seconds/{phase}": seconds for phase, seconds in expected.items()}
    assert clock.shares() == "data 4%, forward 7%, backward 36%, centres 29%, optimizer 25%"
    assert set(clock.read().values()) == {0.0}


def test_on_a_gpu_the_clock_reads_events_that_are_over_and_waits_for_none(monkeypatch):
    """The device is two marks behind the host: a reading has what is over, the next one the rest."""
    events = []

    class Event:
        def __init__(self, enable_timing):
            events.append(self)

        def record(self):
            self.ms = 1000.0 * len(events) ** 2

        def query(self):
            return len(events) - events.index(self) > 2

        def elapsed_time(self, end):
            return end.ms - self.ms

    monkeypatch.setattr(torch.cuda, "Event", Event)
    clock = Clock(torch.device("cuda"))
    for phase in ("data", "forward", "backward", "optimizer", "other"):
        clock.enter(phase)
    # marks at 1, 4, 9, 16 and 25 s, of which the first three are over
    assert clock.read() == {f"seconds/{p}": s for p, s in zip(PHASES, (3.0, 5.0, 0.0, 0.0, 0.0), strict=True)}
    clock.enter("data")
    clock.enter("forward")
    assert clock.read() == {f"seconds/{p}": s for p, s in zip(PHASES, (0.0, 0.0, 7.0, 0.0, 9.0), strict=True)}


def test_the_phases_of_a_step(make_config, monkeypatch):
    """Centres come between the tower's forward and backward, both ways; then the next step's classes are drawn."""
    entered = []
    enter = Clock.enter
    monkeypatch.setattr(Clock, "enter", lambda clock, phase: entered.append(phase) or enter(clock, phase))
    run(make_config("fit.steps=2"))
    order = [phase for phase, before in zip(entered, [None, *entered], strict=False) if phase != before]
    towers = ("forward", "centres", "forward", "centres", "backward", "centres", "backward", "forward")
    update = ("optimizer", "centres", "optimizer", "other")
    assert order == ["data", "centres", *towers, "data", "centres", *update, *towers, "data", *update]


def test_the_next_steps_classes_are_drawn_before_the_host_waits_for_this_step(make_config, monkeypatch):
    events = []

    def noted(owner, name, event):
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args: events.append(event(*args)) or original(*args))

    noted(ClassCentres, "choose", lambda centres, labels, step: f"drawn for {step}")
    noted(ClusterDiscrimination, "update", lambda *_: "updated")
    noted(loop._Watch, "check", lambda _: "waited")
    run(make_config("fit.steps=3"))
    after = ["updated", "waited"]
    assert events == ["drawn for 0", "drawn for 1", *after, "drawn for 2", *after, *after]


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
        kill_before_step(patch, 3)
        with pytest.raises(Killed):
            run(configs[2])
    same(run(configs[2]), late)
    losses = [[line["loss"] for line in read_log(config.output / "fit" / "log.jsonl")] for config in configs]
    assert losses[0] == losses[1] == losses[2] and len(losses[0]) == 6
    centres = [next((config.output / "fit" / "state" / "step_0000006").glob("centres_*")) for config in configs]
    same(load_file(centres[1]), load_file(centres[0]))
    same(load_file(centres[2]), load_file(centres[0]))


def test_a_profile_names_what_takes_most_time(make_config, capsys):
    make_config("fit.steps=6", objective="clip")
    command = ["run", str(make_config.path()), "--set", "fit.steps=6", "--profile", "3", "--log-to", "tensorboard"]
    assert main([*command, "--verbose"]) == 0
    fit = make_config.path().parent / "run" / "fit"
    lines = capsys.readouterr().err.splitlines()
    said = next(line for line in lines if "profile of" in line)
    assert re.search(
        r"fit clip_tiny: step 6: loss [\d.]+, [\d,]+ images/s \(data \d+%, forward \d+%, ", "\n".join(lines)
    )
    assert any(line.startswith("fit clip_tiny: time of its steps: data ") for line in lines)
    assert f"profile of 3 steps in {fit / 'profile.json'}; most time on the CPU: aten::" in said and "%" in said
    trace = json.loads((fit / "profile.json").read_text())["traceEvents"]
    assert sum(event["name"].startswith("ProfilerStep") for event in trace if event["ph"] == "X") == 3
    assert any(event["name"] == "aten::addmm" for event in trace)
    assert list((fit / "tensorboard").glob("events*"))


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


def test_schedule():
    config = OptimizerConfig(lr=1.0, warmup=4, min_lr=0.1)
    rates = [learning_rate(step, 24, config) for step in range(24)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0 and rates[14] == pytest.approx(0.55) and rates[23] == pytest.approx(0.1055, abs=1e-3)


def test_gains_and_biases_do_not_decay():
    tower = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.LayerNorm(3))
    named = [*tower.named_parameters(), ("position_embedding", torch.nn.Parameter(torch.ones(3, 3)))]
    decays, others = make_optimizer(named, OptimizerConfig(weight_decay=0.3)).param_groups
    assert (decays["weight_decay"], others["weight_decay"]) == (0.3, 0.0)
    assert [tuple(p.shape) for p in decays["params"]] == [(3, 2)]
    assert len(others["params"]) == 4


def test_average_of_weights_and_back():
    parameter = torch.nn.Parameter(torch.zeros(1))
    average = WeightAverage([("p", parameter)], 0.5)
    for step, value in enumerate((1.0, 2.0)):
        parameter.data.fill_(value)
        average.update(10 * step)
    # decays: min(0.5, 1/10) = 0.1, then min(0.5, 11/20) = 0.5
    assert average.weights["p"].item() == pytest.approx(0.5 * 0.9 + 0.5 * 2.0)
    average.swap()
    assert parameter.item() == pytest.approx(1.45) and average.weights["p"].item() == 2.0
    average.swap()
    assert parameter.item() == 2.0


def test_nothing_to_load_is_no_state(tmp_path):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))])
    state = TrainingState([], optimizer, None, {}, torch.amp.GradScaler("cpu", enabled=False))
    assert not state.load(tmp_path, "x")
