"""A record's request carried out again, and what differs from the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.encoders.kinds import KINDS
from mlcd_eval.encoders.registry import named, parse
from mlcd_eval.encoders.spec import OBJECT
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.planning.plan import Plan, make_plan
from mlcd_eval.records import Result, read
from mlcd_eval.request import RunRequest
from mlcd_eval.running.predictions import score
from mlcd_eval.running.run import run
from mlcd_eval.spec import validated
from mlcd_eval.support.addresses import REDACTED, has_redacted
from mlcd_eval.support.progress import Progress

COMPARED = ("value", "ci95", "num_scored", "num_unscored")
"""The numbers of a metric."""


@dataclass(frozen=True)
class Rerun:
    """A record and its repetition. Each mapping holds what differs: name -> (before, after)."""

    before: Result
    after: Result

    @property
    def numbers(self) -> dict[str, tuple[Any, Any]]:
        """The metrics that differ in value, interval or count; None for a metric that only one of them has."""
        before, after = ({m.name: m.model_dump(include=set(COMPARED)) for m in r.metrics} for r in self._both)
        status = _different({"status": self.before.status}, {"status": self.after.status})
        return {**status, **_different(before, after)}

    @property
    def identity(self) -> dict[str, tuple[Any, Any]]:
        """What identifies the number: versions and settings of the task, data, model and its precision."""
        before, after = map(_identity, self._both)
        return _different(before, after)

    @property
    def environment(self) -> dict[str, tuple[Any, Any]]:
        """Versions of packages, the machine and its device."""
        return _different(self.before.environment, self.after.environment)

    @property
    def _both(self) -> tuple[Result, Result]:
        return self.before, self.after


def rerun(
    path: Path, changes: Mapping[str, Any], *, allow_code: bool = False, progress: Progress | None = None
) -> Rerun:
    """Carry out the request of a record again.

    changes: fields of RunRequest for this machine (output, cache, data_root, device). allow_code: whether functions and
    repositories that the record names may run, since a record may come from someone else. Raises UserError for a record
    without a request or with one that cannot be repeated.
    """
    before = read(path)
    request = _request(before, path, changes)
    assert before.request is not None, "_request saw it"
    if before.request.predictions is not None:
        return Rerun(before, score(Path(before.request.predictions), request, before.model.name, progress))
    plan = make_plan(request)
    plan.tasks = {name: task for name, task in plan.tasks.items() if name == before.task.name}
    plan.raise_problems()
    if not plan.tasks:
        raise DataError(f"{path}: {', '.join(request.tasks)} no longer names the task {before.task.name}")
    if not allow_code:
        _check_code(path, request, plan)
    (after,) = run(plan, progress)
    return Rerun(before, after)


def _request(record: Result, path: Path, changes: Mapping[str, Any]) -> RunRequest:
    if record.request is None:
        raise DataError(
            f"{path} does not hold the request that made it: got a record of another harness or of an earlier version, "
            f"expected one that `mlcd-eval run` wrote"
        )
    fields = {**record.request.options, **changes, "resume": False}
    if has_redacted(fields):
        raise DataError(
            f"{path}: its request had a secret, which the record does not hold ({REDACTED}): expected the command with "
            f"the secret: {record.request.command}"
        )
    if record.model.spec.startswith(f"{OBJECT}:"):
        raise DataError(
            f"{path}: the model was in memory ({record.model.spec}), expected mlcd_eval.evaluate with that model"
        )
    return validated(RunRequest, fields, f"{path}: request")


def _check_code(path: Path, request: RunRequest, plan: Plan) -> None:
    """Raise ConfigError if the request runs code that the record names."""
    encoders = [task.needs.text_encoder for task in plan.tasks.values()]
    for spec in (*(named(text)[1] for text in request.models), *(spec for spec in encoders if spec)):
        if KINDS[parse(spec).kind].is_function or request.trust_remote_code:
            raise ConfigError(f"{path} runs code of its model, {spec!r}: expected --trust-remote-code to allow that")


def _different(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    pairs = {name: (before.get(name), after.get(name)) for name in {**before, **after}}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _identity(result: Result) -> dict[str, Any]:
    return {
        "version of the task": result.task.version,
        "version of the protocol": result.task.protocol_version,
        **{f"setting {name}": value for name, value in result.task.settings.items()},
        "data": result.dataset.fingerprint,
        "samples": result.dataset.num_samples,
        "model": result.model.fingerprint,
        "preprocessing": result.model.preprocessing,
        "precision": result.model.precision,
        "seed": result.seed,
        "limit": result.limit,
    }
