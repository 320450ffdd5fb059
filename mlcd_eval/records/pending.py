"""The record of a job before there are numbers: all that tells its request from others. Nothing heavy is loaded."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone

from mlcd_eval.data.base import fingerprint, num_scored
from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.planning.locate import prompts_of
from mlcd_eval.planning.plan import Job, Plan
from mlcd_eval.protocols.base import ImageRequest
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.records import DatasetRecord, ModelRecord, Result, TaskRecord, Timing


def requests_of(plan: Plan, job: Job) -> dict[str, ImageRequest]:
    """Role -> features that the job needs."""
    return get_protocol(job.task.protocol).requests(job.settings, plan.open(job).splits)


def splits_of(plan: Plan, job: Job) -> dict[str, str]:
    """Role -> split: of what is encoded, and of what is scored (the last one)."""
    roles = {role: request.split for role, request in requests_of(plan, job).items()}
    scored = get_protocol(job.task.protocol).scored_split(job.settings, plan.open(job).splits)
    roles.pop("test", None)
    return {role: split for role, split in roles.items() if split != scored} | {"test": scored}


def now() -> Timing:
    """Of work that starts."""
    return Timing(started=datetime.now(timezone.utc).isoformat(timespec="seconds"))


def blank(plan: Plan, job: Job, info: EncoderInfo) -> Result:
    """The job's request as a record, without the environment that it will run in."""
    dataset, splits = plan.open(job), splits_of(plan, job)
    scored = splits["test"]
    prints = {split: fingerprint(dataset, split) for split in splits.values()}
    read = [f"{split} {prints[split]}" for split in sorted(prints)]
    prompts = prompts_of(job.task, dataset)
    if prompts is not None:
        read.append(json.dumps([prompts.class_names, prompts.templates]))
    whole = hashlib.sha256("\n".join(read).encode()).hexdigest()
    return Result(
        task=TaskRecord(
            name=job.task.name,
            version=job.task.version,
            protocol=job.task.protocol,
            settings=job.settings.model_dump(mode="json"),
        ),
        dataset=DatasetRecord(
            name=dataset.name,
            kind=dataset.kind,
            split=scored,
            fingerprint=whole,
            num_samples=num_scored(dataset, scored),
            num_classes=len(dataset.class_names) if dataset.class_names else None,
            expected_num_samples=job.task.dataset.expected_size(scored),
        ),
        model=ModelRecord(
            name=job.model_name,
            spec=job.model_spec,
            fingerprint=info.fingerprint,
            num_params=info.num_params,
            preprocessing=info.preprocessing,
            precision=plan.request.precision,
            extra=dict(info.extra),
        ),
        seed=plan.request.seed,
        limit=plan.request.limit,
        environment={},
        timing=now(),
    )
