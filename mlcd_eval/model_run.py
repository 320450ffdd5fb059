"""All that one loaded model has to do: encode each image once, ask, score, and write one record a job."""

from __future__ import annotations

import errno
import hashlib
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from mlcd_eval.data.base import AnnotatedDataset, Annotation, fingerprint, num_scored
from mlcd_eval.distributed import barrier, broadcast_object, rank
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import IncompatibleError, UserError
from mlcd_eval.features.encode import Encoded, EncodeOptions, encode_split, encode_texts
from mlcd_eval.features.lazy import open_encoder
from mlcd_eval.features.respond import Responses, respond
from mlcd_eval.features.whole import WholeImage
from mlcd_eval.locate import prompts_of
from mlcd_eval.plan import Job, Plan
from mlcd_eval.progress import Progress
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs, Scores
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.records import DatasetRecord, ModelRecord, Result, ResultStore, TaskRecord, Timing
from mlcd_eval.records.environment import environment

Pass = tuple[str, bool]
"""A split, and whether its images were shown whole."""

STOPS_THE_RUN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def _requests(plan: Plan, job: Job) -> dict[str, ImageRequest]:
    return get_protocol(job.task.protocol).requests(job.settings, plan.open(job).splits)


def splits_of(plan: Plan, job: Job) -> dict[str, str]:
    """Role -> split: of what is encoded, and of what is scored (the last one)."""
    roles = {role: request.split for role, request in _requests(plan, job).items()}
    scored = get_protocol(job.task.protocol).scored_split(job.settings, plan.open(job).splits)
    roles.pop("test", None)
    return {role: split for role, split in roles.items() if split != scored} | {"test": scored}


class ModelRun:
    """All jobs of one loaded model, on one device."""

    def __init__(self, plan: Plan, encoder: Encoder, jobs: list[Job], workers: int, progress: Progress) -> None:
        self.plan = plan
        self.request = plan.request
        self.encoder = encoder
        self.jobs = [
            replace(job, settings=get_protocol(job.task.protocol).for_model(job.settings, encoder.info)) for job in jobs
        ]
        self.progress = progress
        self.store = ResultStore(plan.request.output)
        self.options = EncodeOptions(
            cache=plan.request.cache,
            precision=plan.request.precision,
            batch_size=plan.request.batch_size,
            workers=workers,
            limit=plan.request.limit,
            allow_bad_images=plan.request.allow_bad_images,
        )
        for job in self.jobs:
            self._check_encoder(job)
        lenders = dict.fromkeys(getattr(job.settings, "text_encoder", None) for job in self.jobs)
        self._text_encoders = {spec: self._load_text_encoder(spec) for spec in lenders if spec}

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

    def _load_text_encoder(self, spec: str) -> Encoder:
        """An encoder that lends its text tower."""
        options = {"trust_remote_code": self.request.trust_remote_code, "offline": self.request.offline}
        encoder = open_encoder(
            spec, self.encoder.device, self.request.precision, self.request.cache, self.progress.say, **options
        )
        if not encoder.info.has_text:
            raise IncompatibleError(f"text_encoder: got {spec!r}, which has no text tower, expected a model with one")
        return encoder

    def results(self) -> Iterator[Result]:
        """One dataset after another, so that one pass over its images serves all of its tasks."""
        by_data: dict[str, list[Job]] = {}
        for job in self.jobs:
            by_data.setdefault(job.dataset_ref, []).append(job)
        for jobs in by_data.values():
            found = [self.store.done(self._blank(job), self.request.log_samples) for job in jobs]
            kept = broadcast_object(found if self.request.resume else [None] * len(jobs))
            for job, record in zip(jobs, kept, strict=True):
                if record is not None and rank() == 0:
                    self.progress.say(f"{job.task.name}: kept the record of {record.timing.started}")
                    yield record
            todo = [job for job, record in zip(jobs, kept, strict=True) if record is None]
            encoded = self._encode(todo)
            for job in todo:
                responses = self._respond(job)
                if rank() == 0:  # the others help to encode and to ask; one scores and writes
                    yield self._finish(job, encoded, responses)
            barrier()

    def _encode(self, jobs: list[Job]) -> dict[Pass, Encoded | Exception]:
        """(split, whole) -> features at every layer that one of the jobs asks for, or why there are none."""
        layers: dict[Pass, dict[str, None]] = {}
        for job in jobs:
            for request in _requests(self.plan, job).values():
                layers.setdefault((request.split, request.whole), {})[request.layer] = None
        encoded: dict[Pass, Encoded | Exception] = {}
        for (name, whole), wanted in layers.items():
            split = self.plan.open(jobs[0]).split(name)
            title = f"{self.encoder.info.name}: {split.dataset}/{name}"
            encoder = WholeImage(self.encoder) if whole else self.encoder
            with self.progress.stage(title, split.scan().num_samples, "images") as advance:
                try:
                    encoded[name, whole] = encode_split(encoder, split, list(wanted), self.options, advance)
                except Exception as error:
                    _raise_if_fatal(error)
                    encoded[name, whole] = error
        return encoded

    def _respond(self, job: Job) -> Responses | Exception | None:
        """The model's own masks or answers to what is scored, if the protocol asks for them, or why there are none."""
        ability = get_protocol(job.task.protocol).ability(job.settings)
        if ability is None:
            return None
        try:
            return self._ask(job, ability)
        except Exception as error:
            _raise_if_fatal(error)
            return error

    def _ask(self, job: Job, ability: str) -> Responses:
        dataset = self.plan.open(job)
        assert isinstance(dataset, AnnotatedDataset), "only these have what a model can be asked"
        name = splits_of(self.plan, job)["test"]
        asked = dataset.annotations(name)[: self.request.limit]
        with self.progress.stage(f"{self.encoder.info.name}: {job.task.name}", len(asked), ability + "s") as advance:
            return respond(
                self.encoder,
                dataset.split(name),
                asked,
                ability,
                fingerprint(dataset, name),
                self.request.cache,
                self.request.precision,
                self.options.batch_size or 1,
                getattr(job.settings, "prompt", "{question}"),
                getattr(job.settings, "max_new_tokens", 32),
                advance,
            )

    def _finish(
        self, job: Job, encoded: dict[Pass, Encoded | Exception], responses: Responses | Exception | None
    ) -> Result:
        """Score one job, write its record, of success or failure, and return it."""
        blank = self._blank(job)
        try:
            if isinstance(responses, Exception):
                raise responses
            if self.request.submit:
                result, samples = self._submit(job, blank, responses), None
            else:
                result, samples = self._score(job, blank, encoded, responses)
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

    def _submit(self, job: Job, blank: Result, responses: Responses | None) -> Result:
        """Write the answers in the form of the Robust Reading Competition's server, and a record without metrics."""
        if responses is None or job.task.protocol != "docvqa":
            raise IncompatibleError(f"--submit writes a model's own answers to questions: {job.task.name} has none")
        path = self.store.write_submission(blank, responses.by_id)
        details = {"submission": str(path), "num_answers": len(responses.by_id)}
        return Result.model_validate({**blank.model_dump(), "details": details})

    def _score(
        self, job: Job, blank: Result, encoded: dict[Pass, Encoded | Exception], responses: Responses | None
    ) -> tuple[Result, Mapping[str, Sequence[Any]]]:
        started = time.perf_counter()
        images: dict[str, Features] = {}
        passes: dict[Pass, Encoded] = {}
        for role, request in _requests(self.plan, job).items():
            key = (request.split, request.whole)
            split = encoded[key]
            if isinstance(split, Exception):
                raise split
            images[role] = split.features[request.layer]
            passes[key] = split
        protocol = get_protocol(job.task.protocol)
        dataset = self.plan.open(job)
        lends = self._text_encoders.get(getattr(job.settings, "text_encoder", None) or "", self.encoder)
        found = prompts_of(job.task, dataset)
        inputs = Inputs(
            images=images,
            encode_texts=partial(encode_texts, lends, options=self.options) if lends.info.has_text else None,
            class_names=found.class_names if found else dataset.class_names,
            templates=found.templates if found else dataset.templates,
            prompts_source=found.source if found else None,
            seed=self.request.seed,
            device=str(self.encoder.device),
            annotations=self._annotations(job, images, responses),
            responses=responses.by_id if responses else None,
        )
        scores: Scores = protocol.score(job.settings, inputs)
        timing = Timing(
            started=blank.timing.started,
            encode_s=sum(one.seconds for one in passes.values()),
            score_s=time.perf_counter() - started,
            images_encoded=sum(one.images_encoded for one in passes.values()),
        )
        scored = len(inputs.annotations["test"]) if inputs.annotations else _num_images(images)
        values = {
            "metrics": [metric.model_dump() for metric in scores.metrics],
            "primary_metric": scores.primary,
            "details": dict(scores.details),
            "timing": timing,
            "dataset": blank.dataset.model_copy(update={"num_samples": scored}),
        }
        return Result.model_validate({**blank.model_dump(), **values}), scores.samples

    def _annotations(
        self, job: Job, images: Mapping[str, Features], responses: Responses | None
    ) -> dict[str, list[Annotation]]:
        """By role; with --limit those of the images that were encoded, or that the model was asked."""
        dataset = self.plan.open(job)
        if not isinstance(dataset, AnnotatedDataset):
            return {}
        found = {role: list(dataset.annotations(split)) for role, split in splits_of(self.plan, job).items()}
        if self.request.limit is None:
            return found
        if responses is not None:
            return {role: ones[: self.request.limit] for role, ones in found.items()}
        keys = {role: set(features.keys) for role, features in images.items()}
        return {role: [one for one in ones if one.image in keys[role]] for role, ones in found.items()}

    def _blank(self, job: Job) -> Result:
        """The record of a job before there are numbers."""
        info, dataset = self.encoder.info, self.plan.open(job)
        splits = splits_of(self.plan, job)
        scored = splits["test"]
        prints = {split: fingerprint(dataset, split) for split in splits.values()}
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
                precision=self.request.precision,
                extra=dict(info.extra),
            ),
            seed=self.request.seed,
            limit=self.request.limit,
            environment=environment(str(self.encoder.device)),
            timing=Timing(started=datetime.now(timezone.utc).isoformat(timespec="seconds")),
        )


def _num_images(images: Mapping[str, Features]) -> int:
    scored = images.get("test", list(images.values())[-1])
    return len(scored.keys) + len(scored.bad)


def _raise_if_fatal(error: Exception) -> None:
    """A full or read-only disk, or a folder of others, ends the run: no task after it would fare better."""
    if isinstance(error, OSError) and error.errno in STOPS_THE_RUN:
        raise error
