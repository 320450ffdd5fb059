"""Nothing is lost to kills, signals or clocks that jump."""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from disturbed import TOWER, after_images, before_step, evaluate, records, temporary_files
from safetensors.torch import load_file
from tiny_encoder import TinyEncoder

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_train.fit import new_model


@pytest.mark.slow
def test_killed_runs_resume():
    """Run benchmarks/crashes.py with few kills; the output of the full benchmark is in benchmarks/results."""
    tasks = "knn/demo_clipart,retrieval/demo_captions"  # whose scoring is quick
    words = ["--kills", "2", "--train-kills", "2", "--tasks", tasks]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "benchmarks/crashes.py", *words], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.count(" 2 kills") == 2 and "0 left at the end" in done.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_stop_cleanly_and_the_run_resumes(tmp_path, monkeypatch, capsys, expected, train, number, code):
    with monkeypatch.context() as patch:
        after_images(patch, 300, lambda: signal.raise_signal(number))
        assert evaluate(tmp_path) == code
    how = "interrupted" if code == 130 else "terminated"
    assert capsys.readouterr().err.splitlines()[-1] == f"mlcd-eval: {how}; run the same command again to resume"
    assert not temporary_files(tmp_path)
    TinyEncoder.images_seen = 0
    assert evaluate(tmp_path) == 0 and TinyEncoder.images_seen <= 985 - 300 + 16
    assert records(tmp_path) == expected

    folder = tmp_path / "training"
    for stage_step in (3, 5):
        with monkeypatch.context() as patch:
            before_step(patch, stage_step, lambda: signal.raise_signal(number))
            assert train(folder) == code
        assert "Traceback" not in capsys.readouterr().err
    assert train(folder) == 0 and train.weights(folder) == train.expected
    assert not temporary_files(folder)


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, "tests")
import tiny_encoder
from mlcd_eval.features import encode
encode.CHUNK = 16
encode_images = tiny_encoder.TinyEncoder.encode_images
def slow(self, pixels, layers):
    if self.probed:  # else load_encoder asks, before there are workers
        print("AT WORK", flush=True)
        time.sleep(0.3)
    return encode_images(self, pixels, layers)
tiny_encoder.TinyEncoder.encode_images = slow
from mlcd_eval.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_worker_processes_end_with_the_run(tmp_path, number):
    """Ctrl-C reaches the whole group. kill -9 reaches only the parent, and its workers would wait for ever."""
    words = ["run", "--model", "python:tiny_encoder:make", "--tasks", "knn/demo_clipart", "--workers", "2"]
    words += ["--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"), "--batch-size", "8"]
    run = subprocess.Popen(
        [sys.executable, "-c", SLOW, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert run.stdout.readline() == "AT WORK\n"
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    assert len(children) == 3  # one reads, two decode
    os.killpg(run.pid, number) if number == signal.SIGINT else run.send_signal(number)
    _, error = run.communicate(timeout=30)
    assert run.returncode == (-9 if number == signal.SIGKILL else 128 + number)
    assert "Traceback" not in error or number == signal.SIGKILL  # a worker may have been sending to its parent
    until = time.monotonic() + 10
    while any(map(_is_alive, children)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(_is_alive, children))


def _is_alive(process):
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize("year", [1971, 2100])
def test_clocks_that_jump_change_nothing(tmp_path, monkeypatch, expected, train, year):
    def shift():
        for path in tmp_path.rglob("*"):
            os.utime(path, ns=((year - 1970) * 31_556_952 * 10**9,) * 2)

    with monkeypatch.context() as patch:
        after_images(patch, 300, lambda: signal.raise_signal(signal.SIGINT))
        assert evaluate(tmp_path) == 130
    shift()
    assert evaluate(tmp_path) == 0
    shift()
    TinyEncoder.images_seen = 0
    assert evaluate(tmp_path) == 0 and TinyEncoder.images_seen == 0
    assert records(tmp_path) == expected
    folder = tmp_path / "training"
    with monkeypatch.context() as patch:
        before_step(patch, 3, lambda: signal.raise_signal(signal.SIGINT))
        assert train(folder) == 130
    shift()
    assert train(folder) == 0 and train.weights(folder) == train.expected


def killed_before(change, work):
    """Run work() in a child that is killed right before the given change of a folder. Return whether it was killed."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -9
    changes = itertools.count(1)

    def audit(event, _):
        if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir") and next(changes) == change:
            os.kill(os.getpid(), signal.SIGKILL)

    try:
        sys.addaudithook(audit)
        work()
    finally:
        os._exit(0)


def test_a_checkpoint_that_is_being_replaced_survives_a_kill(tmp_path, monkeypatch):
    folder, shape = tmp_path / "model", CheckpointConfig(vision=TOWER, preprocess=Preprocess(image_size=16))
    old, new = (new_model(shape, seed, torch.device("cpu")) for seed in (0, 1))

    def holds():
        weights = load_checkpoint(folder).state_dict()
        return "old" if torch.equal(weights["visual.class_embedding"], old.visual.class_embedding) else "new"

    def full(*_):
        raise OSError("full")

    missing = []
    for change in itertools.count(1):
        shutil.rmtree(tmp_path), tmp_path.mkdir()
        save_checkpoint(folder, old)
        if not killed_before(change, lambda: save_checkpoint(folder, new)):
            break
        if folder.exists():
            assert holds() in ("old", "new")
        else:
            missing.append(change)
            with monkeypatch.context() as patch, pytest.raises(OSError, match="full"):
                patch.setattr("mlcd_eval.encoders.adapters.checkpoint.write_tensors", full)
                save_checkpoint(folder, new)  # this fails, but restores the old checkpoint first
            assert holds() == "old"
        save_checkpoint(folder, new)
        assert holds() == "new" and [path.name for path in tmp_path.iterdir()] == ["model"]
    assert len(missing) == 1 and change > 5


def test_evaluations_while_training_leave_nothing_when_killed(tmp_path, train):
    changes = ["fit.evaluate={every: 2, tasks: [knn/demo_clipart]}", "lit=null"]
    assert train(tmp_path, *changes) == 0
    leftover = tmp_path / "out" / "fit" / ".evaluate" / "tiny_step2"
    shutil.rmtree(tmp_path / "out" / "fit"), leftover.mkdir(parents=True)
    (leftover / "config.json").write_text("half")
    shutil.rmtree(tmp_path / "out" / "tiny")
    assert train(tmp_path, *changes) == 0
    assert not (tmp_path / "out" / "fit" / ".evaluate").exists()
    assert load_file(tmp_path / "out" / "tiny" / "model.safetensors")
