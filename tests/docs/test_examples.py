"""examples/: each script runs as it is, and prints what it is for."""

import os
import shlex
import subprocess

import forked
import pytest
import yaml
from documentation import ROOT

from mlcd_eval.cli import build_parser


def script(name, folder, *words):
    env = {**os.environ, "PYTHONPATH": str(ROOT), "MLCD_EVAL_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    command = [*forked.start(), str(ROOT / "examples" / f"{name}.py"), *words]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_two_checkpoints_and_the_table_of_a_paper(tmp_path):
    pytest.importorskip("timm")
    printed = script("compare_two", tmp_path)
    assert "B against A: wins" in printed and printed.startswith("A knn/demo_clipart: knn_acc1@20 ")
    table = script("paper_table", tmp_path, "results/runs/compare_two")
    assert "task & metric & n & A & B" in table and (tmp_path / "paper.tex").read_text().count("table.tex") == 1


def test_the_layers_of_a_tower(tmp_path):
    pytest.importorskip("timm")
    lines = script("layer_sweep", tmp_path).splitlines()
    assert lines[-1].startswith("best by held-out rows: ") and lines[0].split()[0] == "block_1/cls"


def test_a_module_in_memory_is_measured_anew_after_training(tmp_path):
    pytest.importorskip("timm")
    before, after, library, head, *rows = script("own_module", tmp_path, "--steps", "3").splitlines()
    assert before.split("weights")[1] != after.split("weights")[1]
    assert library.startswith("library: knn_acc1@20 ") and head.split()[0] == "model" and len(rows) == 3


def test_the_list_of_examples_is_whole():
    listed = (ROOT / "examples" / "README.md").read_text()
    assert [path.name for path in (ROOT / "examples").glob("*.py") if f"({path.name})" not in listed] == []


def test_the_workflow_of_a_leaderboard_runs_commands_that_there_are():
    workflow = yaml.safe_load((ROOT / "examples" / "leaderboard.yml").read_text())
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [shlex.split(step, comments=True)[1:] for step in steps if step.startswith("mlcd-eval ")]
    assert [build_parser().parse_args(words).command for words in commands] == ["validate", "serve"]
