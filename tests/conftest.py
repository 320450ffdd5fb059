"""Helpers and fixtures that several test modules need."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import DatasetRecord, ModelRecord, Result, TaskRecord, Timing

LAYERS = {"linear_probe": "penultimate", "knn": "penultimate"}
"""The defaults that are not `projected`: records with another layer are a variant, which tables name."""


def metric(name, value, ci95=None, n=200, **changes):
    return Metric(name=name, value=value, ci95=ci95, num_scored=n, **changes)


def make_result(model="tiny", task="zeroshot/demo", metrics=(), **changes):
    protocol, _, dataset = task.partition("/")
    metrics = tuple(metrics) or (metric("acc1", 0.4525, (0.40, 0.5012)), metric("acc5", None))
    fields = {
        "task": TaskRecord(
            name=task, version=1, protocol=protocol, settings={"layer": LAYERS.get(protocol, "projected")}
        ),
        "dataset": DatasetRecord(
            name=dataset, kind="classification", split="test", fingerprint="d" * 64, num_samples=200, num_classes=4
        ),
        "model": ModelRecord(
            name=model,
            spec=f"open_clip:local-dir:{model}",
            fingerprint="m" * 64,
            num_params=14_500_000,
            preprocessing="resize",
            precision="fp32",
        ),
        "metrics": metrics,
        "primary_metric": metrics[0].name,
        "seed": 0,
        "environment": {"python": "3.11"},
        "timing": Timing(started="2026-01-01T00:00:00+00:00"),
        **changes,
    }
    return Result(**fields)


@pytest.fixture(autouse=True)
def _working_directory_stays(monkeypatch):
    """A group of an executor, done in this process, changes it."""
    monkeypatch.chdir(Path.cwd())


@pytest.fixture
def failed_result():
    return make_result(metrics=(), primary_metric=None, status="error", error="split 'test' is empty").model_copy(
        update={"metrics": ()}
    )


@pytest.fixture
def unused_port():
    """A TCP port of this machine on which nothing listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """write(text, name) makes a file below tmp_path."""

    def _write(text: str | bytes, name: str = "x.yaml") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return _write
