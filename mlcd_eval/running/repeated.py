"""The request of a record, to be carried out once more: by `rerun` as it was, by `explain` in other dialects."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlcd_eval.encoders.kinds import KINDS
from mlcd_eval.encoders.registry import named, parse
from mlcd_eval.encoders.spec import OBJECT
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.planning.plan import Plan, make_plan
from mlcd_eval.records import Result
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import validated
from mlcd_eval.support.addresses import REDACTED, has_redacted


def request_of(record: Result, path: Path, changes: Mapping[str, Any]) -> RunRequest:
    """Return the request that made a record.

    path: of the record, for messages. changes: fields of RunRequest for this machine, and `models` for another spec of
    the same weights. Raises DataError for a record without a request, or with one that cannot be repeated.
    """
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
    if record.model.spec.startswith(f"{OBJECT}:") and "models" not in changes:
        raise DataError(
            f"{path}: the model was in memory ({record.model.spec}), expected mlcd_eval.evaluate with that model"
        )
    return validated(RunRequest, fields, f"{path}: request")


def plan_of(record: Result, path: Path, request: RunRequest, *, allow_code: bool) -> Plan:
    """Return the plan of a record's task alone.

    allow_code: whether functions and repositories that the record names may run, since a record may come from someone
    else. Raises UserError for a request that cannot be carried out here.
    """
    plan = make_plan(request)
    plan.tasks = {name: task for name, task in plan.tasks.items() if name == record.name}
    plan.raise_problems()
    if not plan.tasks:
        raise DataError(f"{path}: {', '.join(request.tasks)} no longer names the task {record.name}")
    if not allow_code:
        _check_code(path, request, plan)
    return plan


def _check_code(path: Path, request: RunRequest, plan: Plan) -> None:
    """Raise ConfigError if the request runs code that the record names."""
    encoders = [task.needs.text_encoder for task in plan.tasks.values()]
    for spec in (*(named(text)[1] for text in request.models), *(spec for spec in encoders if spec)):
        if KINDS[parse(spec).kind].is_function or request.trust_remote_code:
            raise ConfigError(f"{path} runs code of its model, {spec!r}: expected --trust-remote-code to allow that")


def identity(result: Result) -> dict[str, Any]:
    """Return what identifies a number: versions and settings of the task, data, model and its precision."""
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
