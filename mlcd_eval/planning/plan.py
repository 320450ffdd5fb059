"""From a request to a plan: which jobs, on which data, and every problem that can be seen with nothing heavy loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel

from mlcd_eval.data.base import Dataset
from mlcd_eval.encoders.registry import check_spec, model_name
from mlcd_eval.errors import ConfigError, UserError, nearest
from mlcd_eval.planning.locate import check_fit, expand, is_remote, open_located, settings_of
from mlcd_eval.records import record_path
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import TaskIndex, TaskSpec


@dataclass(frozen=True)
class Job:
    """One task of one model: one record at `path`, from the data behind `dataset_ref`."""

    model_spec: str
    model_name: str
    task: TaskSpec
    settings: BaseModel
    dataset_ref: str
    path: Path


@dataclass
class Plan:
    """Jobs in the order in which they run, and all that stands in their way.

    datasets: those that could be opened without the network, by reference.
    """

    request: RunRequest
    jobs: list[Job] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    datasets: dict[str, Dataset] = field(default_factory=dict)

    def open(self, job: Job) -> Dataset:
        """The job's dataset, opened once, after a check that the protocol can use it."""
        ref = job.dataset_ref
        if ref not in self.datasets:
            self.datasets[ref] = open_located(ref, job.task.dataset, self.request)
        check_fit(job.task, job.settings, self.datasets[ref], self.request.submit)
        return self.datasets[ref]

    def raise_problems(self) -> None:
        """Raise ConfigError with every problem, a line each, if there is any."""
        if self.problems:
            raise ConfigError("\n".join(self.problems))


def make_plan(request: RunRequest) -> Plan:
    """Check the whole request; nothing is loaded, no image is read, the network is not touched."""
    plan = Plan(request)
    names: dict[str, str] = {}
    for spec in dict.fromkeys(request.models):
        with _noting(plan):
            name = model_name(spec)
            if name in names:
                raise ConfigError(
                    f"models {names[name]!r} and {spec!r} would both write to {request.output / name}: "
                    f"run them with different --output folders"
                )
            names[name] = spec
            check_spec(spec)
    chosen: dict[str, tuple[TaskSpec, str, BaseModel]] = {}
    index = TaskIndex.load()
    for word in request.tasks:
        with _noting(plan):
            for task, ref in expand(word, request, index):
                first, where, _ = chosen.setdefault(task.name, (task, ref, settings_of(task, request.settings)))
                if (first, where) != (task, ref):
                    raise ConfigError(
                        f"two tasks would both write the record {task.name}: got it on {where} and on {ref}, expected "
                        f"one a name (rename one, or run them with different --output folders)"
                    )
    located = list(chosen.values())
    for lender in dict.fromkeys(getattr(settings, "text_encoder", None) for _, _, settings in located):
        if lender is not None:
            with _noting(plan, "text_encoder: "):
                check_spec(lender)
    for key in request.settings:
        if located and not any(key in type(settings).model_fields for _, _, settings in located):
            known = {field for _, _, settings in located for field in type(settings).model_fields}
            plan.problems.append(
                f"--set {key}: no chosen task has that setting, expected one of {', '.join(sorted(known))}"
                f"{nearest(key, known)}"
            )
    for name, spec in names.items():
        for task, ref, settings in located:
            path = record_path(request.output, name, task.name)
            plan.jobs.append(Job(spec, name, task, settings, ref, path))
    for job in plan.jobs[: len(located)]:
        if not is_remote(job.dataset_ref):
            with _noting(plan):
                plan.open(job)
    return plan


@contextlib.contextmanager
def _noting(plan: Plan, where: str = "") -> Iterator[None]:
    try:
        yield
    except UserError as error:
        if f"{where}{error}" not in plan.problems:
            plan.problems.append(f"{where}{error}")
