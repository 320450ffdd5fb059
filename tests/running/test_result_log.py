"""Results in experiment trackers, read back from what each tracker wrote, without a network."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import make_result, metric

from mlcd_eval.errors import ConfigError
from mlcd_eval.loggers import registry
from mlcd_eval.loggers.base import LogRun
from mlcd_eval.loggers.registry import LOGGERS, Writers, check_loggers
from mlcd_eval.running.result_log import ResultLog, values_of

RECORD = make_result(
    model="vit", task="retrieval/demo", metrics=[metric("recall@5", 0.75, (0.5, 0.875)), metric("acc5", None)]
)
VALUES = {"retrieval/demo/recall@5": 0.75, "retrieval/demo/recall@5_low": 0.5, "retrieval/demo/recall@5_high": 0.875}


def log(names, output, steps=(None,), **options):
    with ResultLog(names, output, **options) as results:
        for step in steps:
            results.write(RECORD, step)


def test_values_of_a_record(failed_result):
    assert values_of(RECORD) == VALUES
    assert values_of(failed_result) == {"zeroshot/demo/failed": 1.0}


def test_tensorboard_without_network(tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    log(["tensorboard"], tmp_path, steps=(1000, 2000), training="mine")
    read = events.EventAccumulator(str(tmp_path / ".logs" / "mine" / "tensorboard")).Reload()
    assert set(read.Tags()["scalars"]) == set(VALUES)
    points = [(point.step, point.value) for point in read.Scalars("retrieval/demo/recall@5_low")]
    assert points == [(1000, 0.5), (2000, 0.5)]


def test_mlflow_in_files_continues_a_training_s_run(tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # so that what the writer sets is removed again
    log(["mlflow"], tmp_path, steps=(1000,), training="mine")
    log(["mlflow"], tmp_path, steps=(2000,), training="mine")
    client = tracking.MlflowClient((tmp_path / ".logs" / "mine" / "mlflow").as_uri())
    [run] = client.search_runs([client.get_experiment_by_name("mlcd-eval").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.metrics["retrieval/demo/recall_at_5_high"] == 0.875
    steps = [point.step for point in client.get_metric_history(run.info.run_id, "retrieval/demo/recall_at_5")]
    assert steps == [1000, 2000]


def in_a_process(name, output, **environment):
    """Log by a program of its own: these libraries keep threads, and settings from when they are imported."""
    code = "import sys; from test_result_log import log, Path; log([sys.argv[1]], Path(sys.argv[2]))"
    given = [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1]), *given])
    command = [sys.executable, "-c", code, name, str(output)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": path, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_trackio_local(tmp_path):
    pytest.importorskip("trackio")
    assert in_a_process("trackio", tmp_path, TRACKIO_DIR=str(tmp_path / "trackio"), HF_HUB_OFFLINE="1") == ""
    with sqlite3.connect(tmp_path / "trackio" / "mlcd-eval.db") as database:
        [(run, metrics)] = database.execute("select run_name, metrics from metrics").fetchall()
    assert (run, {key: json.loads(metrics)[key] for key in VALUES}) == ("vit", VALUES)


def test_wandb_offline(tmp_path):
    pytest.importorskip("wandb")
    assert in_a_process("wandb", tmp_path, WANDB_MODE="offline") == ""
    [file] = (tmp_path / ".logs" / "vit" / "wandb").glob("offline-run-*/*.wandb")
    contents = file.read_bytes()
    assert all(name.encode() in contents for name in VALUES)
    assert b"0.875" in contents


@pytest.fixture
def written(monkeypatch):
    """What a tracker that only remembers was given: (run, step, values)."""
    lines = []

    class Memory:
        package, extra = "json", "none"
        check = staticmethod(lambda: None)

        def __init__(self, run):
            self.run = run

        def write(self, step, values):
            lines.append((self.run, step, values))

        def close(self):
            lines.append((self.run, "closed", {}))

    monkeypatch.setitem(LOGGERS.built_in, "memory", Memory)
    return lines


def test_one_new_run_per_model_or_one_continued_run_per_training(tmp_path, written):
    with ResultLog(["memory"], tmp_path) as results:
        for model in ("a", "b", "a"):
            results.write(make_result(model=model))
    assert [(run.name, run.id, step) for run, step, _ in written] == [
        *[("a", None, 1), ("b", None, 1), ("a", None, 2)],
        *[("a", None, "closed"), ("b", None, "closed")],
    ]
    written.clear()
    for _ in range(2):
        with ResultLog(["memory"], tmp_path, training="t") as results:
            results.write(make_result(model="a"), 10)
            results.write(make_result(model="b"), 20)
    assert [(run.name, step) for run, step, _ in written] == [("t", 10), ("t", 20), ("t", "closed")] * 2
    assert len({run.id for run, _, _ in written}) == 1 and written[0][0].id


def test_nothing_is_opened_without_a_record_or_without_a_tracker(tmp_path, written):
    log(["memory"], tmp_path, steps=())
    log([], tmp_path)
    assert written == [] and list(tmp_path.iterdir()) == []


def test_a_tracker_that_fails_to_open_closes_the_others(tmp_path, written, monkeypatch):
    def fails(run):
        raise ConfigError("no login")

    monkeypatch.setitem(LOGGERS.built_in, "fails", fails)
    with pytest.raises(ConfigError, match="no login"):
        Writers(["memory", "fails"], LogRun("p", "r", tmp_path))
    assert [step for _, step, _ in written] == ["closed"]


def test_wandb_without_a_login_is_refused_before_anything_is_done(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setattr(wandb, "login", lambda prompt: False)
    monkeypatch.setattr(wandb, "setup", lambda: SimpleNamespace(settings=SimpleNamespace(mode="online")))
    with pytest.raises(ConfigError, match=r"no login, expected one by `wandb login` \(or set WANDB_MODE=offline"):
        ResultLog(["wandb"], tmp_path)


def test_a_missing_package_and_an_unknown_name_are_reported_before_anything_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"--log-to wandb needs wandb: pip install 'mlcd-eval\[wandb\]'"):
        ResultLog(["wandb"], tmp_path)
    with pytest.raises(ConfigError, match=r"unknown log writer 'wandbb'.*did you mean 'wandb'"):
        check_loggers(["wandbb"])
