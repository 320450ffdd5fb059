"""Two ranks with a pretend device each, under NCCL's rules."""

import json
import os
import subprocess
import sys

import pytest

from pretend_gpu.check_train import config, pairs, trained  # noqa: F401 pairs is a fixture

pytestmark = pytest.mark.slow


def two_ranks(port, *arguments):
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={port}", "-m", "pretend_gpu"]
    done = subprocess.run(
        [sys.executable, *launch, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def environment():
    return {**os.environ, "PYTHONPATH": "tests:."}


def test_evaluation(model, tmp_path, unused_port):
    tasks = ["--tasks", "knn/demo_clipart,retrieval/demo_captions", "--limit", "40", "--workers", "0"]
    for name, ranks in (("one", 1), ("two", 2)):
        folders = ["--cache", str(tmp_path / name / "cache"), "--output", str(tmp_path / name / "out")]
        command = ["mlcd-eval", "run", "--model", model, *tasks, *folders, "--device", "cuda"]
        if ranks == 2:
            two_ranks(unused_port, *command)
        else:
            subprocess.run([sys.executable, "-m", "pretend_gpu", *command], env=environment(), check=True)
    one, two = (
        {path.name: json.loads(path.read_text())["metrics"] for path in (tmp_path / name / "out").rglob("*.json")}
        for name in ("one", "two")
    )
    assert one == two and len(one) == 2


@pytest.mark.parametrize("objective", ["clip", "mlcd"])
def test_training(pairs, model, tmp_path, unused_port, objective):  # noqa: F811
    path = config(pairs, tmp_path / "two", model, objective)
    two_ranks(unused_port, "mlcd-train", "run", str(path), "--set", "device=cuda")
    losses, weights = trained(path, "cpu")  # done: only read
    expected, their_weights = trained(config(pairs, tmp_path / "one", model, objective), "cpu")
    assert losses == pytest.approx(expected, rel=1e-3)
    assert all((weights[name] - their_weights[name]).abs().max() < 1e-3 for name in weights)
