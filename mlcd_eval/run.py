"""From a plan to records: each model loaded once, each image encoded once, one record a task as soon as it ends."""

from __future__ import annotations

import errno
import hashlib
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from itertools import groupby
from typing import Any

import torch

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.errors import ConfigError, DataError, IncompatibleError, UserError
from mlcd_eval.features.encode import Encoded, EncodeOptions, encode_split, encode_texts
from mlcd_eval.locate import prompts_of
from mlcd_eval.plan import Job, Plan, RunRequest, make_plan
from mlcd_eval.progress import Progress
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs, Scores
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.records import DatasetRecord, ModelRecord, Result, ResultStore, TaskRecord, Timing
from mlcd_eval.records.environment import environment
from mlcd_eval.spec import validated

STOPS_THE_RUN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)  # no record could be written either


def evaluate(model: str | Sequence[str], tasks: str | Sequence[str], **options: Any) -> list[Result]:
    """Run tasks on a model (or several) and return the records; `options` are the other fields of `RunRequest`.

    Raises UserError for what is wrong with the request, before any image is encoded. A task that fails leaves a
    Result of status "error"; the others are kept.
    """
    models = [model] if isinstance(model, str) else list(model)
    words = tasks.split(",") if isinstance(tasks, str) else list(tasks)
    request = validated(RunRequest, {"models": models, "tasks": words, **options}, "evaluate")
    return list(run(make_plan(request)))


def run(plan: Plan, progress: Progress | None = None) -> Iterator[Result]:
    """Carry out a plan; yields each record as soon as it is on disk.

    Raises UserError where the request, the data (seen by reading labels and headers) or a model cannot work.
    """
    plan.raise_problems()
    progress = progress or Progress()
    device = pick_device(plan.request.device)
    _scan(plan, progress)
    for spec, jobs in groupby(plan.jobs, key=lambda job: job.model_spec):
        progress.say(f"loading {spec}")
        encoder = load_encoder(spec, trust_remote_code=plan.request.trust_remote_code, offline=plan.request.offline).to(
            device, plan.request.precision
        )
        untrained = encoder.info.extra.get("weights")
        if untrained is not None:
            progress.say(f"{encoder.info.name} has no trained weights ({untrained}): numbers only show that it runs")
        yield from _ModelRun(plan, encoder, list(jobs), progress).results()


def pick_device(name: str) -> torch.device:
    """`auto` is CUDA where there is one. Raises ConfigError for a device that is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda: got a machine where PyTorch sees no CUDA device, expected one (or --device cpu)"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


def _scan(plan: Plan, progress: Progress) -> None:
    """Read every split's headers and labels, so that damaged data is found before the first encode."""
    problems = []
    wanted = {(job.dataset_ref, request.split): job for job in plan.jobs for request in _requests(plan, job).values()}
    with progress.stage("checking data", len(wanted), "splits") as advance:
        for (_, split), job in wanted.items():
            try:
                size = plan.open(job).split(split).scan().num_samples
                expected = job.task.dataset.expected_size(split)
                if size is not None and expected is not None and size != expected:
                    name = job.task.dataset.name
                    progress.say(
                        f"note: split {split!r} of {name} has {size:,} samples, the protocol's has {expected:,}"
                    )
            except UserError as error:
                problems.append(str(error))
            advance(1)
    if problems:
        raise DataError("\n".join(dict.fromkeys(problems)))


def _requests(plan: Plan, job: Job) -> dict[str, ImageRequest]:
    return get_protocol(job.task.protocol).requests(job.settings, plan.open(job).splits)


class _ModelRun:
    """All jobs of one loaded model."""

    def __init__(self, plan: Plan, encoder: Encoder, jobs: list[Job], progress: Progress) -> None:
        self.plan = plan
        self.request = plan.request
        self.encoder = encoder
        self.jobs = jobs
        self.progress = progress
        self.store = ResultStore(plan.request.output)
        self.options = EncodeOptions(
            cache=plan.request.cache,
            precision=plan.request.precision,
            batch_size=plan.request.batch_size,
            workers=default_workers(encoder.device) if plan.request.workers is None else plan.request.workers,
            limit=plan.request.limit,
            allow_bad_images=plan.request.allow_bad_images,
        )
        for job in jobs:
            self._check_encoder(job)

    def _check_encoder(self, job: Job) -> None:
        info = self.encoder.info
        if get_protocol(job.task.protocol).needs_text and not info.has_text:
            raise IncompatibleError(
                f"{job.task.name} needs a text tower: got model {info.spec!r}, which has none, "
                f"expected an image-text model, or tasks such as linear_probe and knn"
            )
        for request in _requests(self.plan, job).values():
            if request.layer not in info.layers:
                raise IncompatibleError(
                    f"{job.task.name} needs layer {request.layer!r}: got model {info.spec!r} "
                    f"with {', '.join(info.layers)}"
                )

    def results(self) -> Iterator[Result]:
        """One dataset after another, so that one pass over its images serves all of its tasks."""
        by_data: dict[str, list[Job]] = {}
        for job in self.jobs:
            by_data.setdefault(job.dataset_ref, []).append(job)
        for jobs in by_data.values():
            todo = []
            for job in jobs:
                kept = self.store.done(self._blank(job), self.request.log_samples) if self.request.resume else None
                if kept is None:
                    todo.append(job)
                else:
                    self.progress.say(f"{job.task.name}: kept the record of {kept.timing.started}")
                    yield kept
            encoded = self._encode(todo)
            for job in todo:
                yield self._finish(job, encoded)

    def _encode(self, jobs: list[Job]) -> dict[str, Encoded | Exception]:
        """Split -> features at every layer that one of the jobs asks for, or why there are none."""
        layers: dict[str, dict[str, None]] = {}
        for job in jobs:
            for request in _requests(self.plan, job).values():
                layers.setdefault(request.split, {})[request.layer] = None
        encoded: dict[str, Encoded | Exception] = {}
        for name, wanted in layers.items():
            split = self.plan.open(jobs[0]).split(name)
            title = f"{self.encoder.info.name}: {split.dataset}/{name}"
            with self.progress.stage(title, split.scan().num_samples, "images") as advance:
                try:
                    encoded[name] = encode_split(self.encoder, split, list(wanted), self.options, advance)
                except Exception as error:
                    _raise_if_fatal(error)
                    encoded[name] = error
        return encoded

    def _finish(self, job: Job, encoded: dict[str, Encoded | Exception]) -> Result:
        """Score one job, write its record, of success or failure, and return it."""
        blank = self._blank(job)
        try:
            result, samples = self._score(job, blank, encoded)
        except Exception as error:
            _raise_if_fatal(error)
            bug = not isinstance(error, UserError)
            failure = {
                "status": "error",
                "error": f"{type(error).__name__}: {error}" if bug else str(error),
                "traceback": "".join(traceback.format_exception(error)) if bug else None,
            }
            result, samples = Result.model_validate({**blank.model_dump(), **failure}), None
        if samples is not None and self.request.log_samples:
            self.store.write_samples(result, samples)
        self.store.write(result)
        return result

    def _score(
        self, job: Job, blank: Result, encoded: dict[str, Encoded | Exception]
    ) -> tuple[Result, Mapping[str, Sequence[Any]]]:
        started = time.perf_counter()
        images: dict[str, Features] = {}
        passes: dict[str, Encoded] = {}
        for role, request in _requests(self.plan, job).items():
            split = encoded[request.split]
            if isinstance(split, Exception):
                raise split
            images[role] = split.features[request.layer]
            passes[request.split] = split
        protocol = get_protocol(job.task.protocol)
        dataset = self.plan.open(job)
        found = prompts_of(job.task, dataset)
        inputs = Inputs(
            images=images,
            encode_texts=partial(encode_texts, self.encoder, options=self.options) if protocol.needs_text else None,
            class_names=found.class_names if found else dataset.class_names,
            templates=found.templates if found else dataset.templates,
            prompts_source=found.source if found else None,
            seed=self.request.seed,
            device=str(self.encoder.device),
        )
        scores: Scores = protocol.score(job.settings, inputs)
        timing = Timing(
            started=blank.timing.started,
            encode_s=sum(one.seconds for one in passes.values()),
            score_s=time.perf_counter() - started,
            images_encoded=sum(one.images_encoded for one in passes.values()),
        )
        scored = images.get("test", next(reversed(images.values())))
        values = {
            "metrics": [metric.model_dump() for metric in scores.metrics],
            "primary_metric": scores.primary,
            "details": dict(scores.details),
            "timing": timing,
            "dataset": blank.dataset.model_copy(update={"num_samples": len(scored.keys) + len(scored.bad)}),
        }
        return Result.model_validate({**blank.model_dump(), **values}), scores.samples

    def _blank(self, job: Job) -> Result:
        """The record of a job before there are numbers."""
        info, dataset = self.encoder.info, self.plan.open(job)
        requests = _requests(self.plan, job)
        scored = requests.get("test", next(reversed(requests.values()))).split
        prints = {request.split: dataset.split(request.split).scan().fingerprint for request in requests.values()}
        whole = hashlib.sha256("\n".join(f"{split} {prints[split]}" for split in sorted(prints)).encode()).hexdigest()
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
                num_samples=dataset.split(scored).scan().num_samples,
                num_classes=len(dataset.class_names) if dataset.class_names else None,
                expected_num_samples=job.task.dataset.expected_size(scored),
            ),
            model=ModelRecord(
                name=job.model_name,
                spec=job.model_spec,
                fingerprint=info.fingerprint,
                num_params=info.num_params,
                preprocessing=info.preprocessing,
                precision=self.request.precision,
                extra=dict(info.extra),
            ),
            seed=self.request.seed,
            limit=self.request.limit,
            environment=environment(str(self.encoder.device)),
            timing=Timing(started=datetime.now(timezone.utc).isoformat(timespec="seconds")),
        )


def _raise_if_fatal(error: Exception) -> None:
    """A full or read-only disk ends the run: no record could be written either."""
    if isinstance(error, OSError) and error.errno in STOPS_THE_RUN:
        raise error


def default_workers(device: torch.device) -> int:
    """Decoding processes: beside a GPU all cores but one (at most 16); beside a CPU forward pass two, if there are four
    cores, since its threads would wait for theirs."""
    cores = os.cpu_count() or 1
    if device.type == "cuda":
        return min(16, max(1, cores - 1))
    return 2 if cores >= 4 else 0
