"""What a reader makes of a file: a task of a model in our names and units, and the record of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlcd_eval import __version__
from mlcd_eval.imports.registry import HARNESSES
from mlcd_eval.imports.source import Source
from mlcd_eval.imports.values import UNKNOWN
from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import DatasetRecord, ModelRecord, Result, TaskRecord
from mlcd_eval.records.pending import pending_record
from mlcd_eval.spec import TaskIndex

FOREIGN = "imported"
"""The protocol of tasks that are not ours."""


@dataclass(frozen=True)
class LeftOut:
    """A value that is not imported, and why."""

    value: Any
    reason: str


@dataclass(frozen=True)
class ImportedTask:
    """One task of one model; without metrics where none of its values is known here.

    model: safe as a folder, empty where the file names none. task: ours, or by `foreign_task`. part: what tells the
    record's name from those of the same task with another value of a setting. dataset: in the harness' words. settings:
    what tells this number from another of the task. theirs: version and configuration of the harness, for the record.
    left_out: by the name of the value. samples: files of the same run that were read too. outcomes: columns of our
    metrics by sample, where the file has them; it never has units, such as documents.
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
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)
    samples: tuple[Source, ...] = ()
    outcomes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    num_samples: int | None = None
    limit: int | None = None
    part: str = ""
    num_params: int | None = None
    precision: str = UNKNOWN
    seed: int = 0

    @property
    def spec(self) -> str:
        """What the record gives as the model's spec: the harness, and the hash of all that was read."""
        files = sorted({self.source.sha256, *(source.sha256 for source in self.samples)})
        return f"import:{self.source.harness}:{hashlib.sha256(' '.join(files).encode()).hexdigest()[:16]}"


def foreign_task(harness: str, *parts: str) -> str:
    """The name of a task that is not ours, fit for a file name: `imported/HARNESS-PART-PART`."""
    fit = (re.sub(r"[^A-Za-z0-9._+-]+", "-", part).strip("._-") or UNKNOWN for part in parts)
    return f"{FOREIGN}/{'-'.join([harness, *fit])}"


def record(task: ImportedTask, index: TaskIndex, name: str | None = None) -> Result:
    """The record, with version 0: none of the versions of our task. The fingerprints say that they are not known.

    name: of the model, by default its own with `@harness`.
    """
    source = task.source
    known = index.tasks.get(task.task)
    details = {
        **({"part": task.part} if task.part else {}),
        "source": f"imported from {source.harness}",
        "harness": source.harness,
        "format": HARNESSES[source.harness].version,
        "file": str(source.path),
        "file_sha256": source.sha256,
        "samples_sha256": {str(samples.path): samples.sha256 for samples in task.samples},
        "theirs": dict(task.theirs),
        "not_imported": {key: {"value": left.value, "reason": left.reason} for key, left in task.left_out.items()},
    }
    result = pending_record(
        TaskRecord(
            name=task.task,
            version=0,
            protocol=task.task.partition("/")[0],
            settings={"harness": source.harness, **task.settings},
        ),
        DatasetRecord(
            name=known.dataset.name if known else task.dataset,
            kind=task.kind,
            split=task.split,
            fingerprint=f"{UNKNOWN}:{source.harness}:{task.dataset}",
            num_samples=task.num_samples,
            expected_num_samples=known.dataset.expected_size(task.split) if known else None,
        ),
        ModelRecord(
            name=name or f"{task.model}@{source.harness}",
            spec=task.spec,
            fingerprint=f"{UNKNOWN}:{source.harness}:{task.model or name}",
            num_params=task.num_params,
            preprocessing=UNKNOWN,
            precision=task.precision,
        ),
        seed=task.seed,
        limit=task.limit,
        environment={"imported_with": f"mlcd_eval {__version__}"},
    )
    return result.completed(metrics=task.metrics, primary_metric=task.primary, details=details)
