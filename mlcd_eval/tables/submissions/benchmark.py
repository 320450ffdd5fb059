"""`eval.yaml`, by which a data set on the Hugging Face hub declares itself a benchmark."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.spec import TaskSpec, validated
from mlcd_eval.support.documents import parse_yaml
from mlcd_eval.tables.identity import usual_settings
from mlcd_eval.tables.lookup import shipped_tasks

FRAMEWORK = "mlcd-eval"
FRAMEWORKS = "https://github.com/huggingface/huggingface.js/blob/main/packages/tasks/src/eval.ts"
"""The hub's list of evaluation frameworks; a file that names another one is refused when it is pushed."""


class BenchmarkTask(BaseModel):
    """A leaderboard of the benchmark. id: of its task. config, split: of the data set on the hub."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: str = Field(min_length=1)
    config: str | None = None
    split: str | None = None


class Benchmark(BaseModel):
    """The fields that the hub requires; further ones belong to other evaluation frameworks."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = Field(min_length=1)
    description: str = Field(min_length=1)
    evaluation_framework: str = Field(min_length=1)
    tasks: tuple[BenchmarkTask, ...] = Field(min_length=1)


def read_benchmark(path: Path) -> Benchmark:
    """A benchmark's eval.yaml. Raises ConfigError for a file that is none."""
    try:
        values: Any = parse_yaml(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"--benchmark: {path} does not exist, expected the benchmark's eval.yaml") from error
    except (ValueError, OSError) as error:
        raise ConfigError(f"--benchmark: {path}: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"--benchmark: {path}: expected a mapping with name, description and tasks")
    return validated(Benchmark, values, str(path))


def declaration(dataset: str, framework: str = FRAMEWORK) -> str:
    """The eval.yaml of a data set: every shipped task of it, by its name. Raises ConfigError for an unknown one."""
    tasks = [task for task in shipped_tasks().values() if task.dataset.name == dataset]
    if not tasks:
        known = sorted({task.dataset.name for task in shipped_tasks().values()})
        raise ConfigError(f"no task is of the data set {dataset!r}{nearest(dataset, known)}; see mlcd-eval ls datasets")
    protocols = ", ".join(dict.fromkeys(task.protocol for task in tasks))
    values = {
        "name": dataset,
        "description": f"{dataset} for vision encoders by the protocols of mlcd-eval: {protocols}",
        "evaluation_framework": framework,
        "tasks": [{"id": task.name, "config": "default", "split": split} for task, split in _splits(tasks)],
    }
    return yaml.safe_dump(values, sort_keys=False, allow_unicode=True)


def _splits(tasks: Iterable[TaskSpec]) -> Iterable[tuple[TaskSpec, str]]:
    """Each task with the split that it scores."""
    for task in tasks:
        yield task, str(usual_settings(task.protocol, task.name).get("split", "test"))
