"""The script for a day with a GPU runs, small and on a CPU, so that it is ready when there is one."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "benchmarks" / "gpu_day.sh"


def run(*words, out):
    environment = {**os.environ, "OUT": str(out), "PY": sys.executable, "SLOWER": "6", "LIMIT": "900"}
    environment["OMP_NUM_THREADS"] = "1"
    return subprocess.run(["bash", str(SCRIPT), *words], env=environment, capture_output=True, text=True, timeout=1000)


@pytest.mark.slow
def test_every_step_succeeds_on_a_cpu(tmp_path):
    done = run("--tiny", "--device", "cpu", out=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("exit code 0") == 5  # two trainings, evaluation twice, figures
    assert done.stdout.count(" agree") == 2 and "DIFFER" not in done.stdout
    names = [row[0] for row in json.loads((tmp_path / "figures.json").read_text())]
    for part in ("step of", "MFU", "forward only", "encode JPEGs, pil", "linear probe", "kNN", "retrieval", "k-means"):
        assert any(part in name for name in names), part


def test_an_unknown_word_is_refused_before_anything_runs(tmp_path):
    done = run("--tinny", out=tmp_path / "out")
    assert done.returncode == 2 and "got --tinny, expected wheels, --tiny or --device" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_metric_that_differs_is_seen(tmp_path):
    """`report` compares records of the device with those of the CPU, and a missing one is a difference."""
    for place, value in (("eval_device", 0.5), ("eval_cpu", 0.6)):
        path = tmp_path / place / "model" / "knn.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"primary_metric": "acc1", "metrics": [{"name": "acc1", "value": value}]}))
    report = [sys.executable, str(ROOT / "benchmarks" / "gpu_figures.py"), "report", str(tmp_path)]
    done = subprocess.run(report, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "device    0.50000 cpu    0.60000 DIFFER" in done.stdout
    path.with_name("other.json").write_text(path.read_text())
    assert "none cpu    0.60000 DIFFER" in subprocess.run(report, capture_output=True, text=True, check=False).stdout
