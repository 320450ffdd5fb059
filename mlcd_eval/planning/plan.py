"""From a request to a plan: which tasks on which models, and every problem that can be seen without loading a model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.encoders.registry import check_spec
from mlcd_eval.errors import ConfigError, DataError, UserError, nearest
from mlcd_eval.planning.job import Job, LocatedTask
from mlcd_eval.planning.models import PlannedModel, left_out, planned_model
from mlcd_eval.planning.select import Selection
from mlcd_eval.protocols.dialects import DIALECT
from mlcd_eval.records import record_path
from mlcd_eval.request import RunRequest


@dataclass
class Plan:
    """Every task on every model, in this order.

    models, tasks: by name. refused: (model, task) -> why they do not go together, as far as it is known before a model
    is loaded; with --skip-incompatible they are left out. problems: one sentence for each thing that prevents the run.
    """

    request: RunRequest
    selection: Selection
    models: dict[str, PlannedModel] = field(default_factory=dict)
    tasks: dict[str, LocatedTask] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def open(self) -> list[Job]:
        """Return every task that some model does as a job; data on the network is opened only now.

        Raises DataError with every problem, one per line.
        """
        jobs, problems = [], []
        for task in {task.name: task for _, task, _ in self.records()}.values():
            try:
                jobs.append(self.selection.job(task))
            except UserError as error:
                problems.append(str(error))
        if problems:
            raise DataError("\n".join(dict.fromkeys(problems)))
        return jobs

    def records(self) -> Iterator[tuple[str, LocatedTask, Path]]:
        """Yield the model name, task and path of each record of the plan, without the refused pairs."""
        for model in self.models:
            for task in self.tasks_of(model):
                yield model, task, record_path(self.request.output, model, task.name)

    def tasks_of(self, model: str) -> Iterator[LocatedTask]:
        """Yield the tasks that a model does."""
        yield from (task for task in self.tasks.values() if (model, task.name) not in self.refused)

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


def make_plan(request: RunRequest, encoders: Mapping[str, Encoder] | None = None) -> Plan:
    """Check the whole request, without loading a model, reading an image or using the network.

    encoders: models in memory, by the name that the request gives them.
    """
    plan = Plan(request, Selection(request))
    known: list[PlannedModel] = []
    for text in dict.fromkeys(request.models):
        with plan.noting():
            model = planned_model(text, encoders or {})
            _add_model(plan, model)
            known.append(model)
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
        with plan.noting():
            if not plan.selection.is_slow(task):
                plan.selection.job(task)
    _refuse_pairs(plan, known)
    return plan


def _add_model(plan: Plan, model: PlannedModel) -> None:
    first = plan.models.setdefault(model.name, model)
    if first != model:
        raise ConfigError(
            f"models {first.spec!r} and {model.spec!r} would both write to {plan.request.output / model.name}: "
            f"expected another name for one of them, as in --model {model.name}_2={model.spec}"
        )
    model.check()


def _refuse_pairs(plan: Plan, models: list[PlannedModel]) -> None:
    """Note each pair of a model and a task that do not go together, as a problem unless such pairs are left out."""
    for model in models:
        for task in plan.tasks.values():
            reason = model.refusal(task)
            if reason is not None:
                plan.refused[model.name, task.name] = reason
    if not plan.request.skip_incompatible:
        plan.problems += map(left_out, plan.refused.values())
    elif plan.refused and plan.tasks and not any(True for _ in plan.records()) and not plan.problems:
        plan.problems.append(
            "--skip-incompatible leaves out every pair of a model and a task: expected one that is left"
        )


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
    for key, value in plan.request.settings.items() if plan.tasks else ():
        if key == DIALECT:
            _check_dialect(plan, value)
        elif key not in known:
            plan.problems.append(
                f"--set {key}: no chosen task has that setting, expected one of {', '.join(sorted(known))}"
                f"{nearest(key, known)}"
            )


def _check_dialect(plan: Plan, name: object) -> None:
    """Add a problem for a dialect that no task's protocol has."""
    by_protocol = {task.protocol.name: list(task.protocol.dialects) for task in plan.tasks.values()}
    known = [dialect for dialects in by_protocol.values() for dialect in dialects]
    if name is not None and name not in known:
        of_each = "; ".join(f"{protocol} {', '.join(names) or 'none'}" for protocol, names in by_protocol.items())
        plan.problems.append(
            f"--set dialect={name}: no chosen task has that dialect, expected one of its protocol's ({of_each})"
            f"{nearest(str(name), known)}"
        )
