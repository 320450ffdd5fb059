"""States that are written while training goes on, and those of towers sharded over ranks."""

import json
import shutil
import threading

import pytest
import torch
from safetensors.torch import load_file, save_file
from training_runs import stop_before
from two_ranks import on_two_ranks

from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint
from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.support.progress import Progress
from mlcd_train import loop, state, state_files
from mlcd_train.runlog import read_log
from mlcd_train.stages import TrainingRun


def run(config):
    training = TrainingRun(config, torch.device("cpu"), Progress())
    training.run()
    return load_file(training.checkpoint / "model.safetensors")


def losses(config):
    return [line["loss"] for line in read_log(config.output / "fit" / "log.jsonl")]


def test_training_goes_on_while_a_state_is_written(make_config, monkeypatch):
    """The first state waits until step 3 has begun; it holds step 2's numbers all the same."""
    plain = make_config(objective="clip", name="plain")
    run(plain)
    reached, rate, write = threading.Event(), loop.learning_rate, state.write_whole

    def noting(step, *rest):
        if step == 3:
            reached.set()
        return rate(step, *rest)

    def waiting(place, tensors):
        assert reached.wait(60), "training waits for the state"
        write(place, tensors)

    monkeypatch.setattr(loop, "learning_rate", noting)
    monkeypatch.setattr(state, "write_whole", waiting)
    config = make_config(objective="clip", name="slow")
    run(config)
    for step in (2, 4):
        ours, theirs = (c.output / "fit" / "state" / f"step_{step:07d}" for c in (config, plain))
        assert (ours / "model.safetensors").read_bytes() == (theirs / "model.safetensors").read_bytes()


def test_what_writing_raises_stops_training(make_config, monkeypatch):
    def full(place, tensors):
        raise OSError(28, "No space left on device", str(place))

    monkeypatch.setattr(state, "write_whole", full)
    config = make_config("fit.steps=8", objective="clip")
    with pytest.raises(OSError, match="No space left"):
        run(config)
    assert len(losses(config)) == 4  # the second state finds what became of the first
    assert not list((config.output / "fit" / "state").iterdir())


def _stopped_rank(rank, port, config, results):
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", world_size=2, rank=rank)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_before(5, patch)
        run(config)
    results.put(rank)
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


def test_sharded_towers_train_alike_on_one_rank_then_two_then_one(make_config, unused_port, monkeypatch):
    """Steps 0 to 2 on one rank, 2 to 4 on two, which stop in step 5, and 4 to 6 on one, from sharded states."""
    changes = ("fit.steps=6", "fit.ema=0.9", "fit.accumulation=2", "model.vision.width=36")
    unsharded = make_config(*changes, name="unsharded")
    weights = run(unsharded)
    changes += ("fit.shard=fsdp",)
    config = make_config(*changes, name="sharded")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_before(3, patch)
        run(config)
    folder = config.output / "fit" / "state"
    assert [path.name for path in folder.iterdir()] == ["step_0000002"]
    on_two_ranks(_stopped_rank, unused_port, config)
    assert len(list((folder / "step_0000004" / "model").glob("*.safetensors"))) == 2
    sharded = run(config)
    assert losses(config) == pytest.approx(losses(unsharded), rel=1e-5) and len(losses(config)) == 6
    for name, tensor in weights.items():
        torch.testing.assert_close(sharded[name], tensor, rtol=1e-4, atol=1e-5, msg=name)
    halfway = state_files.StateTensors(folder / "step_0000004")
    plain = load_file(unsharded.output / "fit" / "state" / "step_0000004" / "model.safetensors")
    assert set(halfway) == set(plain)
    assert {name: halfway[name].shape for name in plain} == {name: tensor.shape for name, tensor in plain.items()}
    still = ("fit.optimizer.lr=1e-12", "fit.optimizer.weight_decay=0", "fit.steps=1", "model.vision.width=36")
    again = make_config(f"fit.continue_from={folder}", *still, name="again")
    run(again)
    continued = load_checkpoint(again.output / again.name).state_dict()
    last = state_files.StateTensors(folder / "step_0000006")
    for name, tensor in continued.items():
        torch.testing.assert_close(last[f"model.{name}"], tensor, rtol=0, atol=1e-6, msg=name)


def test_damaged_sharded_states_are_named(make_config):
    config = make_config("fit.shard=fsdp", objective="clip")
    run(config)
    shutil.rmtree(config.output / "fit" / "model")
    (config.output / "fit" / "done.json").unlink()
    place = config.output / "fit" / "state" / "step_0000004"
    [path] = (place / "model").iterdir()
    whole = path.read_bytes()
    for contents in (whole[:-100], whole[:20], None):
        path.unlink() if contents is None else path.write_bytes(contents)
        with pytest.raises(CheckpointError, match="step_0000004 is damaged: "):
            run(config)


def test_a_missing_part_of_a_tensor_is_seen(tmp_path):
    """The files of two ranks, as torch.distributed.checkpoint writes them, and the second one alone."""
    for number in (0, 1):
        about = {"DCP_SHARDING_INFO": json.dumps({"w": {"saved_offsets": [2 * number, 0]}}), "DCP_VERSION": "1.0"}
        name = f"shard-0000{number + 1}-model-00001-of-00001.safetensors"
        (tmp_path / "model").mkdir(exist_ok=True)
        save_file({"w": torch.full((2, 3), float(number))}, tmp_path / "model" / name, about)
    assert state_files.StateTensors(tmp_path)["w"][:, 0].tolist() == [0, 0, 1, 1]
    state_files.files(tmp_path)[0].unlink()
    with pytest.raises(ValueError, match="a part of w is missing"):
        state_files.StateTensors(tmp_path)


def test_an_older_pytorch_and_fp16_are_refused(make_config, monkeypatch):
    with pytest.raises(ConfigError, match="precision: bf16 or fp32 with shard: fsdp, got fp16"):
        make_config("fit.shard=fsdp", "fit.precision=fp16")
    monkeypatch.delattr("torch.distributed.checkpoint.HuggingFaceStorageWriter")
    with pytest.raises(ConfigError, match=r"fit.shard: fsdp needs torch 2\.9 or later, got"):
        TrainingRun(make_config("fit.shard=fsdp"), torch.device("cpu"), Progress()).check(["fit"])
