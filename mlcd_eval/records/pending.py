"""The record of a task before it is scored: everything that identifies it. Runs, saved predictions and imports build
their records here. Nothing heavy is imported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from pydantic import BaseModel

from mlcd_eval.data.base import (
    AnnotatedDataset,
    AuthoredDataset,
    Dataset,
    annotations_fingerprint,
    fingerprint,
    groups_of,
    num_classes,
    num_scored,
)
from mlcd_eval.data.prompts import Prompts
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.protocols.base import Protocol
from mlcd_eval.records.result import DatasetRecord, ModelRecord, RequestRecord, Result, TaskRecord, Timing
from mlcd_eval.spec import DatasetSpec, TaskSpec


def pending_record(
    task: TaskRecord,
    dataset: DatasetRecord,
    model: ModelRecord,
    *,
    seed: int = 0,
    limit: int | None = None,
    environment: Mapping[str, Any] | None = None,
    request: RequestRecord | None = None,
) -> Result:
    """Return a record without metrics, dated now."""
    return Result(
        task=task,
        dataset=dataset,
        model=model,
        seed=seed,
        limit=limit,
        environment=dict(environment or {}),
        timing=started_now(),
        request=request,
    )


def started_now() -> Timing:
    """Return the timing of work that starts now."""
    return Timing(started=datetime.now(timezone.utc).isoformat(timespec="seconds"))


def task_record(task: TaskSpec, protocol: Protocol[Any], settings: BaseModel) -> TaskRecord:
    """Return the task's part of a record: the versions of task and protocol, and all settings."""
    return TaskRecord(
        name=task.name,
        version=task.version,
        protocol=task.protocol,
        protocol_version=protocol.version,
        settings=settings.model_dump(mode="json"),
    )


def dataset_record(
    spec: DatasetSpec,
    dataset: Dataset,
    splits: Mapping[str, str],
    prompts: Prompts | None,
    *,
    encodes_images: bool = True,
    reads_images: bool = True,
) -> DatasetRecord:
    """Return the data's part of a record; the scored split is `splits["test"]`.

    Headers and labels are read if they are not known yet. encodes_images: False if predictions are scored.
    reads_images: False if another program saved them.
    """
    scored, annotations = splits["test"], None
    if isinstance(dataset, AnnotatedDataset) and not encodes_images:
        annotations = annotations_fingerprint(dataset, scored)
    return DatasetRecord(
        name=dataset.name,
        kind=dataset.kind,
        split=scored,
        split_by=dataset.split_by if isinstance(dataset, AuthoredDataset) else None,
        annotations=annotations,
        fingerprint=_contents(dataset, splits, prompts) if reads_images or annotations is None else annotations,
        num_samples=num_scored(dataset, scored),
        num_classes=num_classes(dataset),
        expected_num_samples=spec.expected_size(scored),
    )


def _contents(dataset: Dataset, splits: Mapping[str, str], prompts: Prompts | None) -> str:
    """Hex digest of all splits that are read, of the groups of the scored one and of the prompts."""
    contents = [f"{split} {fingerprint(dataset, split)}" for split in sorted(set(splits.values()))]
    if groups := groups_of(dataset, splits["test"]):
        contents.append(json.dumps(sorted(groups.items())))
    if prompts is not None:
        contents.append(json.dumps([prompts.class_names, prompts.templates]))
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()


def model_record(name: str, spec: str, info: EncoderInfo, precision: str) -> ModelRecord:
    """Return the model's part of a record."""
    return ModelRecord(
        name=name,
        spec=spec,
        fingerprint=info.fingerprint,
        num_params=info.num_params,
        preprocessing=info.preprocessing,
        precision=precision,
        extra=dict(info.extra),
    )
