"""The loop: exact resumption, two processes against one, precision, averages, logs, and what stops it."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_runs import run, same

from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.towers.vit import Block
from mlcd_eval.errors import ConfigError
from mlcd_eval.running.checkpoints import find_checkpoints
from mlcd_eval.support.progress import ConsoleProgress
from mlcd_train.centres import ClassCentres
from mlcd_train.clock import PHASES
from mlcd_train.non_finite import NonFiniteLoss, Watch, non_finite
from mlcd_train.objectives.discrimination import ClusterDiscrimination
from mlcd_train.optimizer import WeightAverage, learning_rate, make_optimizer
from mlcd_train.runlog import read_log
from mlcd_train.sections import OptimizerConfig
from mlcd_train.stages import TrainingRun


def test_lit_leaves_the_image_tower_as_it_was(make_config):
    config = make_config("lit.images=augmented", lit=True)
    both = run(config)
    tower = load_file(config.output / "fit" / "model" / "model.safetensors")
    same({name: both[name] for name in tower}, tower)


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
        return str(non_finite("x", tmp_path / stage, 0.5, 1, "loss", math.nan))

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


def test_the_next_steps_classes_are_drawn_before_the_host_waits_for_this_step(make_config, monkeypatch):
    events = []

    def noted(owner, name, event):
        original = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args: events.append(event(*args)) or original(*args))

    noted(ClassCentres, "choose", lambda centres, labels, step: f"drawn for {step}")
    noted(ClusterDiscrimination, "update", lambda *_: "updated")
    noted(Watch, "check", lambda _: "waited")
    run(make_config("fit.steps=3"))
    after = ["updated", "waited"]
    assert events == ["drawn for 0", "drawn for 1", *after, "drawn for 2", *after, *after]


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
