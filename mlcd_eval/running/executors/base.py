"""A plan's jobs in groups, how a worker does one group, and how the results come together again."""

from __future__ import annotations

import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlcd_eval.errors import ConfigError, DataError, UserError
from mlcd_eval.planning.plan import Plan, make_plan
from mlcd_eval.records import Result
from mlcd_eval.request import RunRequest
from mlcd_eval.support.progress import ConsoleProgress, Progress

Outcome = list[Result] | Exception
"""A group's records, or why there are none."""


class WorkerError(UserError):
    """A group that no worker survives, as for want of memory."""


class Executor(Protocol):
    """Carries out a plan."""

    def execute(self, plan: Plan, progress: Progress) -> list[Result]:
        """The records in the plan's order, each of them on disk; raises what `run.run` raises."""


@dataclass(frozen=True)
class Group:
    """The tasks of one model on one dataset: a worker loads the model once and encodes each image once.

    request: the whole one, but of this model alone. folder: where its relative paths start. cores: the worker's share.
    """

    title: str
    request: RunRequest
    tasks: tuple[str, ...]
    folder: Path
    cores: int

    def __call__(self) -> Outcome:
        """Carry it out in this process by the code of a local run; a record that stands already is kept."""
        from mlcd_eval.features.workers import default_workers
        from mlcd_eval.running.run import run
        from mlcd_eval.support.device import pick_device

        try:
            os.chdir(self.folder)
            request = self.request
            if request.workers is None:
                workers = default_workers(pick_device(request.device), self.cores)
                request = request.model_copy(update={"workers": workers})
            plan = make_plan(request)
            plan.tasks = {name: plan.tasks[name] for name in self.tasks}
            return list(run(plan, ConsoleProgress()))
        except (UserError, OSError) as error:  # what the command line tells in a sentence; a bug keeps its traceback
            return error


def groups_of(plan: Plan, cores: int) -> list[Group]:
    """The plan's tasks by model and dataset, in its order."""
    tasks: dict[tuple[str, str], list[str]] = {}
    titles: dict[tuple[str, str], str] = {}
    for model, task, _ in plan.records():
        key = (plan.models[model], task.ref)
        tasks.setdefault(key, []).append(task.name)
        titles[key] = f"{model} on {task.task.dataset.name}"
    return [
        Group(titles[key], plan.request.model_copy(update={"models": (key[0],)}), tuple(names), Path.cwd(), cores)
        for key, names in tasks.items()
    ]


@dataclass(frozen=True)
class GroupExecutor(ABC):
    """Hands groups to workers, each with its share of a machine.

    group_gpus: None asks for one unless --device is cpu.
    """

    group_cpus: int = 1
    group_gpus: int | None = None

    @abstractmethod
    def outcomes(self, groups: Sequence[Group]) -> Iterator[tuple[int, Outcome]]:
        """A group's place and outcome, as they come; a group whose worker dies is done again by another."""

    def execute(self, plan: Plan, progress: Progress) -> list[Result]:
        """Every group is tried before the first error is raised."""
        groups = groups_of(plan, self.group_cpus)
        found: dict[int, list[Result]] = {}
        errors: list[Exception] = []
        with progress.stage("models on datasets", len(groups), "groups") as advance:
            for place, outcome in self.outcomes(groups):
                if isinstance(outcome, Exception):
                    errors.append(outcome)
                    progress.say(f"{groups[place].title}: failed")
                else:
                    found[place] = outcome
                    progress.say(f"{groups[place].title}: {', '.join(groups[place].tasks)}")
                advance(1)
        if errors:
            raise _joined(errors)
        for _, _, path in plan.records():
            if not path.is_file():
                raise DataError(f"no record at {path}: expected --output in a folder that all workers share")
        return [result for place in sorted(found) for result in found[place]]


def _joined(errors: Sequence[Exception]) -> Exception:
    """A bug or full disk if there is one, else all sentences in one error."""
    for error in errors:
        if not isinstance(error, UserError):
            return error
    return UserError("\n".join(dict.fromkeys(map(str, errors))))


def need(package: str, extra: str) -> None:
    """Raise ConfigError without a package that an executor needs."""
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"--executor {extra} needs {package}: pip install 'mlcd-eval[{extra}]'")
