"""A plan's jobs in groups, and how the results of groups are collected."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from mlcd_eval.errors import ConfigError, DataError, UserError
from mlcd_eval.planning.plan import Plan, make_plan
from mlcd_eval.records import Result
from mlcd_eval.request import RunRequest
from mlcd_eval.support.progress import Progress, Verbosity, make_progress

Outcome = list[Result] | Exception
"""A group's records, or the error that prevented them."""

Received = Callable[[Result], None]
Say = Callable[[str], None]


def ignored(_: Result) -> None:
    """Do nothing with a record that has been received."""


class WorkerError(UserError):
    """A group whose workers die, for example because memory runs out, or whose job was cancelled."""


class WorkerBug(Exception):
    """A bug that a worker met; the message is the group's title and the worker's traceback."""


class Executor(Protocol):
    """Something that carries out a plan."""

    def execute(self, plan: Plan, progress: Progress, received: Received = ignored) -> list[Result]:
        """Return the records in the plan's order, each of them on disk. Raises what `run.run` raises.

        received: called with each record as soon as this process has it.
        """


@dataclass(frozen=True)
class Group:
    """The tasks of one model on one dataset: a worker loads the model once and encodes each image once.

    request: the plan's request with this model alone. folder: the start of its relative paths. cores: of the worker.
    verbosity: of what it writes to its log.
    """

    title: str
    request: RunRequest
    tasks: tuple[str, ...]
    folder: Path
    cores: int
    verbosity: Verbosity = "normal"

    def __call__(self) -> Outcome:
        """Do the group in this process by the code of a local run; existing records are kept."""
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
            return list(run(plan, make_progress(self.verbosity)))
        except (UserError, OSError) as error:  # reported in one sentence by the command line
            return error
        except Exception:
            return WorkerBug(f"{self.title}:\n{traceback.format_exc()}")

    @property
    def digest(self) -> str:
        """Identity of the work: equal for the same command in the same folder."""
        work = [self.request.model_dump(mode="json"), self.tasks, str(self.folder)]
        return hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:16]


def groups_of(plan: Plan, cores: int, verbosity: Verbosity = "normal") -> list[Group]:
    """Return the plan's tasks in groups by model and dataset, in the plan's order."""
    tasks: dict[tuple[str, str], list[str]] = {}
    titles: dict[tuple[str, str], str] = {}
    for model, task, _ in plan.records():
        key = (plan.models[model].text, task.ref)
        tasks.setdefault(key, []).append(task.name)
        titles[key] = f"{model} on {task.task.dataset.name}"
    folder = Path.cwd()
    return [
        Group(
            titles[key], plan.request.model_copy(update={"models": (key[0],)}), tuple(names), folder, cores, verbosity
        )
        for key, names in tasks.items()
    ]


@dataclass(frozen=True)
class GroupExecutor(ABC):
    """An executor that hands groups to workers.

    group_cpus, group_gpus: cores and GPUs per worker. group_gpus: None asks for one GPU unless --device is cpu.
    """

    group_cpus: int = 1
    group_gpus: int | None = None

    @abstractmethod
    def outcomes(self, groups: Sequence[Group], say: Say) -> Iterator[tuple[int, Outcome]]:
        """Yield each group's position and outcome when it is done. A group whose worker dies is given to another.

        say: shows a line. The iterator is a generator, which is closed when nobody waits for its groups any more.
        """

    def execute(self, plan: Plan, progress: Progress, received: Received = ignored) -> list[Result]:
        """Return the records in the plan's order. Every group is tried before an error is raised."""
        groups = groups_of(plan, self.group_cpus, progress.verbosity)
        results: dict[int, list[Result]] = {}
        errors: list[Exception] = []
        with (
            progress.stage("models on datasets", len(groups), "groups") as advance,
            closing(self.outcomes(groups, progress.say)) as outcomes,  # type: ignore[type-var]
        ):
            for position, outcome in outcomes:
                if isinstance(outcome, Exception):
                    errors.append(outcome)
                    progress.say(f"{groups[position].title}: failed")
                else:
                    results[position] = outcome
                    for result in outcome:
                        received(result)
                    progress.say(f"{groups[position].title}: {', '.join(groups[position].tasks)}")
                advance(1)
        if errors:
            raise _joined(errors)
        records = [result for position in sorted(results) for result in results[position]]
        done = {(result.model.name, result.name) for result in records}
        for model, task, path in plan.records():
            left_out = plan.request.skip_incompatible and (model, task.name) not in done
            if not path.is_file() and not left_out:
                raise DataError(f"no record at {path}: expected --output in a folder that all workers share")
        return records


def _joined(errors: Sequence[Exception]) -> Exception:
    """Return one error with the sentences of all: a WorkerBug if one of them is a bug, else a UserError."""
    if len(errors) == 1:
        return errors[0]
    sentences = "\n".join(dict.fromkeys(map(str, errors)))
    bug = any(not isinstance(error, (UserError, OSError)) for error in errors)
    return WorkerBug(sentences) if bug else UserError(sentences)


def need(package: str, extra: str) -> None:
    """Raise ConfigError if a package that an executor needs is not installed."""
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"--executor {extra} needs {package}: pip install 'mlcd-eval[{extra}]'")
