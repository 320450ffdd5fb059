"""From a request to a plan: which tasks on which models, and every problem that can be seen without loading a model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from mlcd_eval.data.open import is_slow_to_open
from mlcd_eval.encoders.registry import check_spec, model_name
from mlcd_eval.errors import ConfigError, DataError, UserError, nearest
from mlcd_eval.planning.job import Job, LocatedTask
from mlcd_eval.planning.select import Selection
from mlcd_eval.records import record_path
from mlcd_eval.request import RunRequest


@dataclass
class Plan:
    """Every task on every model, in this order.

    models: name -> spec. tasks: by name. problems: one sentence for each thing that prevents the run.
    """

    request: RunRequest
    selection: Selection
    models: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, LocatedTask] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def open(self) -> list[Job]:
        """Return every task as a job; data on the network is opened only now.

        Raises DataError with every problem, one per line.
        """
        jobs, problems = [], []
        for task in self.tasks.values():
            try:
                jobs.append(self.selection.job(task))
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise DataError("\n".join(dict.fromkeys(problems)))
        return jobs

    def records(self) -> Iterator[tuple[str, LocatedTask, Path]]:
        """Yield the model name, task and path of each record of the plan."""
        for model in self.models:
            for task in self.tasks.values():
                yield model, task, record_path(self.request.output, model, task.name)

    def raise_problems(self) -> None:
        """Raise ConfigError with every problem, one per line, if there are any."""
        if self.problems:
            raise ConfigError("\n".join(self.problems))

    @contextlib.contextmanager
    def noting(self, where: str = "") -> Iterator[None]:
        """Add a UserError that the block raises to the problems, with `where` before it."""
        try:
            yield
        except UserError as error:
            if f"{where}{error}" not in self.problems:
                self.problems.append(f"{where}{error}")


def make_plan(request: RunRequest) -> Plan:
    """Check the whole request, without loading a model, reading an image or using the network."""
    plan = Plan(request, Selection(request))
    for spec in dict.fromkeys(request.models):
        with plan.noting():
            _add_model(plan, spec)
    for word in request.tasks:
        with plan.noting():
            for task in plan.selection.tasks(word):
                _add_task(plan, task)
    for text_encoder in dict.fromkeys(task.needs.text_encoder for task in plan.tasks.values()):
        if text_encoder is not None:
            with plan.noting("text_encoder: "):
                check_spec(text_encoder)
    _check_changes(plan)
    for task in plan.tasks.values():
        if not is_slow_to_open(task.ref):
            with plan.noting():
                plan.selection.job(task)
    return plan


def _add_model(plan: Plan, spec: str) -> None:
    name = model_name(spec)
    if name in plan.models:
        raise ConfigError(
            f"models {plan.models[name]!r} and {spec!r} would both write to {plan.request.output / name}: "
            f"run them with different --output folders"
        )
    plan.models[name] = spec
    check_spec(spec)


def _add_task(plan: Plan, task: LocatedTask) -> None:
    first = plan.tasks.setdefault(task.name, task)
    if (first.task, first.ref) != (task.task, task.ref):
        raise ConfigError(
            f"two tasks would both write the record {task.name}: got data {first.ref} and {task.ref}, expected one "
            f"task per name (rename one, or run them with different --output folders)"
        )


def _check_changes(plan: Plan) -> None:
    """Add a problem for each setting of --set that no task has."""
    known = {key for task in plan.tasks.values() for key in type(task.settings).model_fields}
    for key in plan.request.settings if plan.tasks else ():
        if key not in known:
            plan.problems.append(
                f"--set {key}: no chosen task has that setting, expected one of {', '.join(sorted(known))}"
                f"{nearest(key, known)}"
            )
