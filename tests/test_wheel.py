"""The wheel as a user gets it: installed in a new environment and run from another folder."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    code = "import sys, hatchling.build; print(hatchling.build.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(folder)], cwd=ROOT, check=True, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def environment(wheel, tmp_path_factory) -> Path:
    """A virtual environment with the wheel, which gets its dependencies from this environment by a path file."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", str(wheel)], check=True
    )
    return folder


def run(environment: Path, cwd: Path, *words: str) -> str:
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    command = [str(environment / "bin" / words[0]), *words[1:]]
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_what_is_shipped_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"mlcd_eval", "mlcd_train"}
    shipped = {name.removeprefix("mlcd_eval/_bundled/") for name in names if name.startswith("mlcd_eval/_bundled/")}
    published = [file for file in (ROOT / "results/published").rglob("*") if file.is_file()]
    here = [*(ROOT / "tasks").rglob("*.yaml"), *published]
    assert shipped == {str(file.relative_to(ROOT)) for file in here}
    assert sum(file.stat().st_size for file in published) < 3e6
    assert "mlcd_eval/demo_data/LICENSES.md" in names
    assert "mlcd_eval/demo_data/wds_demo_clipart/test/0.tar" in names


def test_an_installed_wheel_finds_its_own_files(environment, tmp_path):
    code = "from mlcd_eval.support.bundled import *; print(tasks_dir(), published_dir(), demo_data_dir(), sep='\\n')"
    for folder in run(environment, tmp_path, "python", "-c", code).splitlines():
        assert Path(folder).is_relative_to(environment)
        assert any(Path(folder).iterdir())


def test_it_lists_the_tasks_of_this_checkout(environment, tmp_path):
    tasks = json.loads(run(environment, tmp_path, "mlcd-eval", "ls", "tasks", "--json"))
    files = {f"{file.parent.name}/{file.stem}" for file in (ROOT / "tasks").glob("*/*.yaml")}
    assert {task["name"] for task in tasks} == {name for name in files if not name.startswith(("suites/", "datasets/"))}


def test_it_runs_a_demo_task_on_its_own_data(environment, tmp_path):
    words = [
        "--model",
        "open_clip:ViT-S-32-alt?init=random&seed=0",
        "--tasks",
        "retrieval/demo_captions",
        "--limit",
        "8",
    ]
    options = ["--offline", "--workers", "0", "--batch-size", "8", "--cache", "cache", "--output", "out"]
    run(environment, tmp_path, "mlcd-eval", "run", *words, *options)
    (record,) = (json.loads(file.read_text()) for file in tmp_path.glob("out/*/retrieval__demo_captions.json"))
    assert record["status"] == "ok"
    assert record["dataset"]["num_samples"] == 8
