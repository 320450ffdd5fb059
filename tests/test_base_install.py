"""What `pip install mlcd-eval` does without the extra `run`: commands that run no model, in a process that has none of
its packages."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import files
from pathlib import Path

import pytest
from conftest import make_result, metric

from mlcd_eval.records import ResultStore
from mlcd_eval.support.needs import DISTRIBUTIONS, WITH_TORCH, lacking

ROOT = Path(__file__).parents[1]
ALSO = ("transformers", "timm", "datasets", "pyarrow", "tensorboard", "onnxruntime", "torchcodec", "openpyxl")

ALONE = """
import contextlib, importlib.machinery, io, json, sys

without, commands = json.loads(sys.stdin.read())

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] not in without:
            return importlib.machinery.PathFinder.find_spec(name, path, target)

    find_distributions = importlib.machinery.PathFinder.find_distributions

sys.meta_path = [Finder if each is importlib.machinery.PathFinder else each for each in sys.meta_path]
from mlcd_eval.cli import main

answers = {}
for command in commands:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(command)
        except SystemExit as stop:
            code = stop.code
    answers[" ".join(command)] = [code, out.getvalue(), err.getvalue()]
print(json.dumps(answers))
"""
LIGHT = {
    "ls tasks": "zeroshot/pets",
    "ls datasets": "imagefolder:",
    "ls models": "open_clip:ARCHITECTURE/TAG",
    "ls dialects": "retrieval/clip-benchmark",
    "ls published": "radio/models",
    "table runs --format markdown": "86.67",
    "table runs --format html --output page.html": "",
    "table --published-group refcoco": "MLCD-Seg-7B",
    "compare runs/a runs/b": "McNemar exact",
    "power runs/a runs/b": "McNemar exact",
    "serve runs --export site": "index.html",
    "submit runs/a --to paper-with-me --dry-run": "86.67",
    "validate runs/a": "1 files, 0 problems",
    "import clip-benchmark clip_zeroshot.json --output imported": "Records: imported",
    "plan --model python:model.py:encoder --tasks demo": "jobs: 9",
    "completion bash": "_shtab_mlcd_eval",
}
"""Command -> what it prints."""
TORCH = "needs torch: pip install 'mlcd-eval[run]'"
HEAVY = {
    "run --model python:model.py:encoder --tasks demo": TORCH,
    "watch runs --tasks demo": TORCH,
    "rerun runs/a/zeroshot__demo.json": TORCH,
    "explain runs/a --value 70": TORCH,
    "table runs/a --format model-index": f"{TORCH.replace('torch', 'huggingface_hub')}, or huggingface_hub alone",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """Command -> exit code, what it printed, what it complained about."""
    folder = tmp_path_factory.mktemp("base")
    for model, wrong in (("a", 4), ("b", 9)):
        result = make_result(model, metrics=[metric("acc1", 1 - wrong / 30, n=30)])
        result = result.model_copy(update={"model": result.model.model_copy(update={"fingerprint": "a" * 64})})
        columns = {"key": [f"s{n}" for n in range(30)], "rank": [2] * wrong + [1] * (30 - wrong)}
        ResultStore(folder / "runs").write(result, columns)
    (folder / "model.py").write_text("")
    shutil.copy(ROOT / "tests/imports/golden/clip_zeroshot.json", folder)
    commands = [command.split() for command in (*LIGHT, *HEAVY)]
    request = json.dumps([[*DISTRIBUTIONS, *ALSO], commands])
    done = subprocess.run(
        [sys.executable, "-c", ALONE],
        input=request,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("command", LIGHT)
def test_a_command_that_runs_no_model_needs_no_package_of_run(command, answers):
    code, printed, complaint = answers[command]
    assert code == 0, complaint
    assert LIGHT[command] in printed


@pytest.mark.parametrize("command", HEAVY)
def test_one_that_does_says_in_a_sentence_what_to_install(command, answers):
    code, _, complaint = answers[command]
    assert code == 2
    assert complaint == f"mlcd-eval: error: {HEAVY[command]}\n"


def test_the_modules_are_those_of_the_extra():
    block = re.search(r"^run = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.DOTALL | re.MULTILINE)[1]
    declared = re.findall(r'^ +"([\w-]+)>=', block, re.MULTILINE)
    assert sorted(declared) == sorted(DISTRIBUTIONS.values())
    for module, distribution in DISTRIBUTIONS.items():
        assert any(str(file).startswith(module) for file in files(distribution)), distribution
    assert DISTRIBUTIONS.keys() >= WITH_TORCH


def test_a_module_that_nothing_declares_is_a_bug():
    assert lacking(ModuleNotFoundError("No module named 'mlcd_eval.nothing'", name="mlcd_eval.nothing")) is None
    assert lacking(ModuleNotFoundError("No module named 'PIL.Image'", name="PIL.Image")) == (
        "needs pillow: pip install 'mlcd-eval[run]', or pillow alone"
    )
