"""The record of a task before there are numbers: all that tells it from others. The one builder of records, for runs,
saved predictions and imports; loads nothing heavy."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from pydantic import BaseModel

from mlcd_eval.data.base import Dataset, fingerprint, num_scored
from mlcd_eval.data.prompts import Prompts
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.protocols.base import Protocol
from mlcd_eval.records.result import DatasetRecord, ModelRecord, Result, TaskRecord, Timing
from mlcd_eval.spec import DatasetSpec, TaskSpec


def pending_record(
    task: TaskRecord,
    dataset: DatasetRecord,
    model: ModelRecord,
    *,
    seed: int = 0,
    limit: int | None = None,
    environment: Mapping[str, Any] | None = None,
) -> Result:
    """A record without metrics, dated now."""
    return Result(
        task=task,
        dataset=dataset,
        model=model,
        seed=seed,
        limit=limit,
        environment=dict(environment or {}),
        timing=started_now(),
    )


def started_now() -> Timing:
    """The timing of work that starts now."""
    return Timing(started=datetime.now(timezone.utc).isoformat(timespec="seconds"))


def task_record(task: TaskSpec, protocol: Protocol[Any], settings: BaseModel) -> TaskRecord:
    """What is asked: the versions of task and protocol, and all settings."""
    return TaskRecord(
        name=task.name,
        version=task.version,
        protocol=task.protocol,
        protocol_version=protocol.version,
        settings=settings.model_dump(mode="json"),
    )


def dataset_record(
    spec: DatasetSpec, dataset: Dataset, splits: Mapping[str, str], prompts: Prompts | None
) -> DatasetRecord:
    """What is read; the scored split is `splits["test"]`. Reads headers and labels where they are not known yet."""
    scored = splits["test"]
    contents = [f"{split} {fingerprint(dataset, split)}" for split in sorted(set(splits.values()))]
    if prompts is not None:
        contents.append(json.dumps([prompts.class_names, prompts.templates]))
    return DatasetRecord(
        name=dataset.name,
        kind=dataset.kind,
        split=scored,
        fingerprint=hashlib.sha256("\n".join(contents).encode()).hexdigest(),
        num_samples=num_scored(dataset, scored),
        num_classes=len(dataset.class_names) if dataset.class_names else None,
        expected_num_samples=spec.expected_size(scored),
    )


def model_record(name: str, spec: str, info: EncoderInfo, precision: str) -> ModelRecord:
    """The model that is scored."""
    return ModelRecord(
        name=name,
        spec=spec,
        fingerprint=info.fingerprint,
        num_params=info.num_params,
        preprocessing=info.preprocessing,
        precision=precision,
        extra=dict(info.extra),
    )
