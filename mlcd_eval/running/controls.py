"""A protocol's controls, computed once for a task and its data and kept, since they do not depend on the model."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.planning.job import Job
from mlcd_eval.protocols.base import Control, Inputs
from mlcd_eval.records import Result
from mlcd_eval.support.disk_memo import memoised

VERSION = 1  # of what a control is


@dataclass(frozen=True)
class _Kept:
    controls: list[Control]


def controls_of(job: Job, pending: Result, inputs: Inputs, cache: Path) -> dict[str, Any]:
    """Return the controls for a record's details: nothing for a protocol without any."""
    if inputs.predictions is not None:
        return {}
    kept = memoised(
        cache / "controls",
        _identity(job, pending, inputs),
        _Kept,
        lambda: _Kept(_controls(job, inputs)),
    )
    rows = [
        {name: value for name, value in asdict(control).items() if name != "curve" or value} | {"holds": control.holds}
        for control in kept.controls
    ]
    return {"controls": rows} if rows else {}


def _controls(job: Job, inputs: Inputs) -> list[Control]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the controls' own samples, not of the user's
        return job.protocol.controls(job.settings, inputs)


def _identity(job: Job, pending: Result, inputs: Inputs) -> str:
    """Everything that controls depend on: the protocol, its settings, the seed and the items."""
    items = {
        role: hashlib.sha256("\n".join(features.keys).encode(errors="surrogateescape")).hexdigest()
        for role, features in inputs.images.items()
    }
    known = [VERSION, pending.task.protocol, pending.task.protocol_version, pending.task.settings]
    return json.dumps([*known, pending.dataset.fingerprint, inputs.seed, inputs.device, items], sort_keys=True)
