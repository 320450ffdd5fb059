"""Groups of jobs: how a plan is divided, and the same records from every executor, even if a worker dies."""

import importlib.util
import json
import os
from pathlib import Path

import pytest

from mlcd_eval.cli import main
from mlcd_eval.errors import UserError
from mlcd_eval.planning.plan import make_plan
from mlcd_eval.request import RunRequest
from mlcd_eval.running.executors.base import GroupExecutor, groups_of
from mlcd_eval.support.progress import Progress

MODEL = "python:tiny_encoder:make"
TASKS = "knn/demo_clipart,zeroshot/demo_clipart,retrieval/demo_captions"
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
TESTS = Path(__file__).parents[1]

needs_submitit = pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs submitit")

MORTAL = """
import dataclasses, os, signal
from pathlib import Path
from tiny_encoder import TinyEncoder

HERE = Path(__file__).parent

class Mortal(TinyEncoder):
    def __init__(self):
        super().__init__()
        self.info = dataclasses.replace(self.info, fingerprint="m" * 64)  # so that it shares no stored features

    def encode_images(self, pixels, layers):
        if self.probed:  # else load_encoder asks, which need not be in a worker
            (HERE / f"worker{os.getpid()}").touch()
            if TinyEncoder.images_seen >= 100:
                self.die()
        return super().encode_images(pixels, layers)

    def die(self):
        try:
            (HERE / "died").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

class Doomed(Mortal):
    def die(self):
        os._exit(9)

def once():
    return Mortal()

def always():
    return Doomed()
"""


class InTurn(GroupExecutor):
    """Does the groups in this process, the last one first."""

    def outcomes(self, groups, say):
        for position in reversed(range(len(groups))):
            yield position, groups[position]()


@pytest.fixture
def mortal(tmp_path, monkeypatch):
    """The spec of a model that kills the first worker that has encoded 100 images. Workers can import tiny_encoder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mortal.py").write_text(MORTAL)
    return f"python:{tmp_path}/model/mortal.py:once"


@pytest.fixture
def ray_of_two(mortal, monkeypatch):
    """A Ray cluster of two machines with one core each, which can import `mortal`'s modules."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**machine, "include_dashboard": False})
    cluster.add_node(**machine)
    monkeypatch.setenv("RAY_ADDRESS", cluster.address)
    yield
    cluster.shutdown()


def flags(tmp_path, name, *more, models=(MODEL,), tasks=TASKS):
    folders = ["--output", str(tmp_path / name), "--cache", str(tmp_path / f"cache_{name}"), "--workers", "0"]
    model_flags = [word for model in models for word in ("--model", model)]
    return ["run", *model_flags, "--tasks", tasks, *folders, "--device", "cpu", "--batch-size", "16", *more]


def numbers(record):
    """A record without its times and environment."""
    return {
        key: value for key, value in record.items() if key not in ("timing", "environment", "efficiency", "checksum")
    }


def records(folder):
    paths = sorted(folder.glob("*/[!.]*.json"))
    return {str(path.relative_to(folder)): numbers(json.loads(path.read_text())) for path in paths}


def assert_same_as_local(tmp_path, capsys, models, *executor):
    assert main(flags(tmp_path, "spread", "--json", *executor, models=models)) == 0
    printed = json.loads(capsys.readouterr().out)
    assert (tmp_path / "model" / "died").exists()
    assert main(flags(tmp_path, "local", "--json", models=models)) == 0
    local = json.loads(capsys.readouterr().out)
    assert [numbers(record) for record in printed] == [numbers(record) for record in local]
    assert len(printed) == 6
    assert records(tmp_path / "spread") == records(tmp_path / "local")


def test_a_group_holds_one_models_tasks_on_one_dataset(tmp_path):
    models = (MODEL, "python:tiny_encoder:broken")
    request = RunRequest(models=models, tasks=tuple(TASKS.split(",")), output=tmp_path, seed=3)
    groups = groups_of(make_plan(request), cores=2)
    assert [(group.request.models, group.tasks) for group in groups] == [
        ((model,), tasks)
        for model in models
        for tasks in (("knn/demo_clipart", "zeroshot/demo_clipart"), ("retrieval/demo_captions",))
    ]
    assert groups[1].title == "tiny_encoder_make on demo_captions"
    assert {group.request.seed for group in groups} == {3}
    assert {group.folder for group in groups} == {Path.cwd()}


def test_groups_in_another_order_print_and_write_the_same_as_a_local_run(tmp_path, capsys, monkeypatch):
    models = ["python:tiny_encoder:broken"]
    assert main(flags(tmp_path, "local", models=models)) == 1
    local = capsys.readouterr().out
    monkeypatch.setattr("mlcd_eval.cli.run.executor_of", lambda args: InTurn())
    assert main(flags(tmp_path, "spread", models=models)) == 1
    assert capsys.readouterr().out == local.replace("/local", "/spread")
    spread, local = records(tmp_path / "spread"), records(tmp_path / "local")
    assert sorted(record["status"] for record in spread.values()) == ["error", "error", "ok"]
    for record in (*spread.values(), *local.values()):
        assert ("Traceback" in (record.pop("traceback") or "")) == (record["status"] == "error")
    assert spread == local


def test_an_error_is_raised_after_the_other_groups_are_done(tmp_path):
    request = RunRequest(
        models=("python:tiny_encoder:vision_only", MODEL, "python:tiny_encoder:nothing"),
        tasks=("zeroshot/demo_clipart",),
        output=tmp_path / "out",
        cache=tmp_path / "cache",
        workers=0,
        limit=40,
    )
    with pytest.raises(UserError, match=r"has no 'nothing'.*\n.*needs a text tower"):
        InTurn().execute(make_plan(request), Progress())
    assert [path.parent.name for path in (tmp_path / "out").glob("*/[!.]*.json")] == ["tiny_encoder_make"]


def test_records_that_are_missing_here_are_reported(tmp_path):
    class Elsewhere(GroupExecutor):
        def outcomes(self, groups, say):
            yield 0, []

    request = RunRequest(models=(MODEL,), tasks=("knn/demo_clipart",), output=tmp_path)
    with pytest.raises(UserError, match="expected --output in a folder that all workers share"):
        Elsewhere().execute(make_plan(request), Progress())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--group-cpus", "2"], "--group-cpus is not an option of --executor local"),
        (["--executor", "ray", "--slurm-partition", "gpu"], "--slurm-partition is not an option of --executor ray"),
        (["--executor", "slurm"], "expected one of a Slurm cluster"),
        (["--executor", "ray"], "RAY_ADDRESS is 127.0.0.1:1, where no cluster answers ("),
    ],
)
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_wrong_executor_is_one_sentence_and_exit_code_2(tmp_path, capsys, monkeypatch, command, words, message):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    assert main([command, *flags(tmp_path, "out", *words)[1:]]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_missing_package_and_torchrun_are_one_sentence(tmp_path, capsys, monkeypatch, name, package):
    there = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else there(name))
    assert main(flags(tmp_path, "out", "--executor", name)) == 2
    assert f"needs {package}: pip install 'mlcd-eval[{name}]'" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "0")
    assert main(flags(tmp_path, "out", "--executor", name)) == 2
    assert f"--executor {name} was started under torchrun" in capsys.readouterr().err


@pytest.mark.slow
@needs_ray
def test_ray_gives_a_killed_workers_group_to_another(tmp_path, capsys, mortal, ray_of_two):
    assert_same_as_local(tmp_path, capsys, (MODEL, mortal), "--executor", "ray")
    assert len(list((tmp_path / "model").glob("worker*"))) == 1 + 2 + 1  # killed, two groups, the local run

    doomed = mortal.replace("once", "always")
    tasks = ["--executor", "ray", "--limit", "200"]
    assert main(flags(tmp_path, "doomed", *tasks, models=(doomed, MODEL), tasks="knn/demo_clipart")) == 2
    assert "mortal.py_always on demo_clipart: 4 workers died doing it" in capsys.readouterr().err
    assert list(records(tmp_path / "doomed")) == ["tiny_encoder_make/knn__demo_clipart.json"]

    assert main(flags(tmp_path, "big", "--executor", "ray", "--group-cpus", "64")) == 2
    assert "got no machine with the 64 cores and 0 GPUs" in capsys.readouterr().err


@pytest.mark.slow
@needs_submitit
def test_slurm_submits_a_killed_group_again(tmp_path, capsys, mortal, monkeypatch):
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 1)
    local = ["--executor", "slurm", "--slurm-cluster", "local"]
    assert_same_as_local(tmp_path, capsys, (MODEL, mortal), *local)
    assert len(list((tmp_path / "model").glob("worker*"))) == 1 + 2 + 1

    doomed = mortal.replace("once", "always")
    assert main(flags(tmp_path, "doomed", *local, models=(doomed,), tasks="knn/demo_clipart")) == 2
    assert "mortal.py_always on demo_clipart: 2 workers died doing it" in capsys.readouterr().err


@needs_submitit
def test_slurm_gets_one_array_job_and_its_refusal_is_reported(tmp_path, capsys, monkeypatch):
    (tmp_path / "bin").mkdir()
    for name, text in {
        "srun": "",
        "sbatch": f"cp $1 {tmp_path}/script; echo 'error: no such partition' >&2; exit 1",
    }.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    share = ["--slurm-partition", "gpu", "--group-cpus", "8", "--group-gpus", "2", "--slurm-hours", "3"]
    assert main(flags(tmp_path, "out", "--executor", "slurm", *share)) == 2
    assert "sbatch refused the jobs: error: no such partition" in capsys.readouterr().err
    lines = (tmp_path / "script").read_text().splitlines()
    options = {"array=0-1%2", "cpus-per-task=8", "gpus-per-node=2", "partition=gpu", "time=180"}
    assert {f"#SBATCH --{option}" for option in options} <= set(lines)
