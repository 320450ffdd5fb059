"""What every importer shares: values checked by unit, and a record that names its source."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from mlcd_eval import __version__
from mlcd_eval.errors import DataError
from mlcd_eval.imports.source import Source
from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import DatasetRecord, ModelRecord, Result, TaskRecord, Timing
from mlcd_eval.spec import TaskIndex

UNKNOWN = "unknown"
ANLS_NOTE = "as the harness computes it; equal to anls_compat where it divides by lengths before it strips white space"
_ROUNDING = 1e-6  # of float32 means


@dataclass(frozen=True)
class ImportedTask:
    """One task of one model in the names and units of this package, without the metrics that are not known here.

    model: a name that is safe for a folder. task: its name here. dataset: its name in the harness. theirs: version and
    configuration of the harness, for the record. not_imported: metrics that have no counterpart here, by name.
    """

    source: Source
    model: str
    task: str
    dataset: str
    metrics: tuple[Metric, ...] = ()
    primary: str | None = None
    kind: str = UNKNOWN
    split: str = UNKNOWN
    settings: Mapping[str, Any] = field(default_factory=dict)
    theirs: Mapping[str, Any] = field(default_factory=dict)
    not_imported: Mapping[str, Any] = field(default_factory=dict)
    num_samples: int | None = None
    limit: int | None = None
    num_params: int | None = None
    precision: str = UNKNOWN
    seed: int = 0


def record(task: ImportedTask, index: TaskIndex, name: str | None = None) -> Result:
    """The record of an imported task. Its version is 0, which is no version of a task of this package; its fingerprints
    name the harness, since data and weights are not known."""
    source = task.source
    known = index.tasks.get(task.task)
    details = {
        "source": f"imported from {source.harness}",
        "harness": source.harness,
        "file": source.path.name,
        "file_sha256": hashlib.sha256(source.data).hexdigest(),
        "theirs": dict(task.theirs),
        "not_imported": dict(task.not_imported),
    }
    return Result(
        task=TaskRecord(
            name=task.task,
            version=0,
            protocol=task.task.partition("/")[0],
            settings={"harness": source.harness, **task.settings},
        ),
        dataset=DatasetRecord(
            name=known.dataset.name if known else task.dataset,
            kind=task.kind,
            split=task.split,
            fingerprint=f"{UNKNOWN}:{source.harness}:{task.dataset}",
            num_samples=task.num_samples,
            expected_num_samples=known.dataset.expected_size(task.split) if known else None,
        ),
        model=ModelRecord(
            name=name or f"{task.model}@{source.harness}",
            spec=f"import:{source.harness}:{source.path.name}",
            fingerprint=f"{UNKNOWN}:{source.harness}:{task.model}",
            num_params=task.num_params,
            preprocessing=UNKNOWN,
            precision=task.precision,
        ),
        metrics=task.metrics,
        primary_metric=task.primary,
        details=details,
        seed=task.seed,
        limit=task.limit,
        environment={"imported_with": f"mlcd_eval {__version__}"},
        timing=Timing(started=datetime.now(timezone.utc).isoformat(timespec="seconds")),
    )


def fraction(where: str, value: Any, *, per_cent: bool = False) -> float:
    """The value as a fraction; raises DataError unless it is a finite number in the unit's range."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    unit, top = ("per cent", 100) if per_cent else ("a fraction", 1)
    if not 0 <= number <= top * (1 + _ROUNDING):
        raise DataError(f"{where} is {value!r}, expected {unit}, 0 to {top}")
    return min(number / top, 1.0)


def safe_name(*parts: Any) -> str:
    """A folder's name from names, hub names and paths, of which only the last part is used."""
    short = (re.sub(r"\.(pt|pth|bin|safetensors|ckpt)$", "", last_part(str(part))) for part in parts if part)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "_".join(short)).strip("._")


def last_part(name: str) -> str:
    """The last part of a path or a hub name; of a snapshot in the hub's cache, the name of its repository."""
    cached = re.search(r"models--(?:[^/]+?--)?([^/]+)/snapshots/", name)
    return cached[1] if cached else name.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
