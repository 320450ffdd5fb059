"""What every importer shares: values checked by unit, and a record that says where it came from."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlcd_eval import __version__
from mlcd_eval.errors import DataError
from mlcd_eval.imports.source import Source
from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import DatasetRecord, ModelRecord, Result, TaskRecord
from mlcd_eval.records.pending import pending_record
from mlcd_eval.spec import TaskIndex

UNKNOWN = "unknown"
ANLS_NOTE = "as the harness computes it; where it divides by lengths before it strips white space it is our anls_compat"
_ROUNDING = 1e-6  # of float32 means


@dataclass(frozen=True)
class Found:
    """One task of one model, in our names and units; without metrics where we know none of it.

    model: safe as a folder. task: ours. dataset: theirs. theirs: their version and configuration, for the record.
    not_imported: their metrics that are no metric of ours, by name.
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


def record(found: Found, index: TaskIndex, name: str | None = None) -> Result:
    """Version 0: theirs, and none of the versions of our task. The fingerprints say that they are not known."""
    source = found.source
    known = index.tasks.get(found.task)
    details = {
        "source": f"imported from {source.harness}",
        "harness": source.harness,
        "file": source.path.name,
        "file_sha256": hashlib.sha256(source.data).hexdigest(),
        "theirs": dict(found.theirs),
        "not_imported": dict(found.not_imported),
    }
    result = pending_record(
        TaskRecord(
            name=found.task,
            version=0,
            protocol=found.task.partition("/")[0],
            settings={"harness": source.harness, **found.settings},
        ),
        DatasetRecord(
            name=known.dataset.name if known else found.dataset,
            kind=found.kind,
            split=found.split,
            fingerprint=f"{UNKNOWN}:{source.harness}:{found.dataset}",
            num_samples=found.num_samples,
            expected_num_samples=known.dataset.expected_size(found.split) if known else None,
        ),
        ModelRecord(
            name=name or f"{found.model}@{source.harness}",
            spec=f"import:{source.harness}:{source.path.name}",
            fingerprint=f"{UNKNOWN}:{source.harness}:{found.model}",
            num_params=found.num_params,
            preprocessing=UNKNOWN,
            precision=found.precision,
        ),
        seed=found.seed,
        limit=found.limit,
        environment={"imported_with": f"mlcd_eval {__version__}"},
    )
    scores = {"metrics": found.metrics, "primary_metric": found.primary, "details": details}
    return Result.model_validate({**result.model_dump(), **scores})


def fraction(where: str, value: Any, *, per_cent: bool = False) -> float:
    """The value as a fraction; raises DataError for what is no number, not finite, or not in the unit's range."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    unit, top = ("per cent", 100) if per_cent else ("a fraction", 1)
    if not 0 <= number <= top * (1 + _ROUNDING):
        raise DataError(f"{where} is {value!r}, expected {unit}, 0 to {top}")
    return min(number / top, 1.0)


def safe_name(*parts: Any) -> str:
    """A folder's name from names, hub names and paths, of which the last part counts."""
    short = (re.sub(r"\.(pt|pth|bin|safetensors|ckpt)$", "", last_part(str(part))) for part in parts if part)
    return re.sub(r"[^A-Za-z0-9._-]+", "_", "_".join(short)).strip("._")


def last_part(name: str) -> str:
    """Of a path or a hub name; a snapshot in the hub's cache bears its repository's name."""
    cached = re.search(r"models--(?:[^/]+?--)?([^/]+)/snapshots/", name)
    return cached[1] if cached else name.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
