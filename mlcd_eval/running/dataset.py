"""The jobs of one model on one data set: encode each image once, predict, score, and write one record per job."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

from numpy.typing import NDArray

from mlcd_eval.data.annotations import Annotation, OnOneImage, images_of
from mlcd_eval.data.base import fingerprint, groups_of
from mlcd_eval.data.open_set import OPEN_SET
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import IncompatibleError, UserError
from mlcd_eval.features.encode import (
    Encoded,
    ImageEncoding,
    TextEncoding,
    encode_split,
    encode_texts,
)
from mlcd_eval.features.predict import Predictions, predict
from mlcd_eval.features.store import bytes_per_number
from mlcd_eval.features.tokens import token_counts
from mlcd_eval.planning.job import Job
from mlcd_eval.protocols.base import Features, Inputs, Scores, View
from mlcd_eval.records import Result, ResultStore, Timing
from mlcd_eval.records.environment import environment
from mlcd_eval.records.pending import started_now
from mlcd_eval.request import RunRequest
from mlcd_eval.running.controls import controls_of
from mlcd_eval.running.costs import efficiency, scored_of
from mlcd_eval.running.encoding import encode_options
from mlcd_eval.running.open_set import distinct
from mlcd_eval.running.views import Views
from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_eval.support.distributed import rank
from mlcd_eval.support.progress import Advance, Progress, Stage

STOPS_THE_RUN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


class DatasetRun:
    """The jobs of one model on one data set.

    todo: jobs, each with its pending record. text_encoders: spec -> another model whose text tower is used. texts,
    images: encode them, as `encode_texts` and `encode_split`.
    """

    def __init__(
        self,
        request: RunRequest,
        encoder: Encoder,
        text_encoders: Mapping[str, Encoder],
        todo: Sequence[tuple[Job, Result]],
        progress: Progress,
        texts: TextEncoding = encode_texts,
        images: ImageEncoding = encode_split,
    ) -> None:
        self.request = request
        self.encoder = encoder
        self.todo = todo
        self.dataset = todo[0][0].dataset
        self.model = todo[0][1].model.name
        self.progress = progress
        self.store = ResultStore(request.output)
        self.options = encode_options(request, encoder)
        self._views = Views(encoder)
        self._text_encoders = text_encoders
        self._texts = texts
        self._images = images

    def results(self) -> Iterator[Result]:
        """Yield each record as soon as it is on disk; ranks other than the first yield none."""
        encoded = self.encode()
        for job, pending in self.todo:
            predictions = self._predict(job)
            if rank() == 0:  # all ranks encode and predict, the first one scores and writes
                yield self._finish(job, pending, encoded, predictions)

    def encode(self) -> dict[View, Encoded | Exception]:
        """Return view -> features at every layer that a job requests, or the error that stopped it."""
        layers: dict[View, dict[str, None]] = {}
        for job, _ in self.todo:
            for request in job.requests.values():
                layers.setdefault(request.view, {})[request.layer] = None
        encoded: dict[View, Encoded | Exception] = {}
        for view, wanted in layers.items():
            split = self.dataset.split(view.split)
            title = " ".join(filter(None, (f"{self.model}: {split.dataset}/{view.split}", view.alteration)))
            with self.progress.stage(title, split.scan().num_samples, "images") as advance:
                try:
                    encoded[view] = self._images(self._views.encoder(view), split, list(wanted), self.options, advance)
                except Exception as error:
                    _raise_if_fatal(error)
                    encoded[view] = error
        return encoded

    def _predict(self, job: Job) -> Predictions | Exception | None:
        """Return the model's own masks or answers for the scored split if the job needs them, or the error that
        prevented them."""
        if job.needs.ability is None:
            return None
        try:
            return self._predictions(job, job.needs.ability)
        except Exception as error:
            _raise_if_fatal(error)
            return error

    def _predictions(self, job: Job, ability: str) -> Predictions:
        annotations = [each for each in job.annotations()["test"] if isinstance(each, OnOneImage)][: self.request.limit]
        title = f"{self.model}: {job.name}"
        with self.progress.stage(title, len(annotations), f"{ability}s") as advance:
            return predict(
                self.encoder,
                self.dataset.split(job.scored_split),
                annotations,
                ability,
                fingerprint(self.dataset, job.scored_split),
                self.request.cache,
                self.request.precision,
                self.options.batch_size or 1,
                job.needs.prompt,
                job.needs.max_new_tokens,
                advance,
            )

    def _finish(
        self,
        job: Job,
        pending: Result,
        encoded: dict[View, Encoded | Exception],
        predictions: Predictions | Exception | None,
    ) -> Result:
        """Score one job, then write and return its record, whether it succeeded or failed."""
        start = {"environment": environment(str(self.encoder.device)), "timing": started_now()}
        pending = pending.model_copy(update=start)
        samples: Mapping[str, Sequence[Any]] = {}
        try:
            if isinstance(predictions, Exception):
                raise predictions
            if self.request.submit:
                result = self._submit(job, pending, predictions)
            else:
                result, samples = self.score(job, pending, encoded, predictions)
        except Exception as error:
            _raise_if_fatal(error)
            bug = not isinstance(error, UserError)
            result = pending.completed(
                status="error",
                error=f"{type(error).__name__}: {error}" if bug else str(error),
                traceback="".join(traceback.format_exception(error)) if bug else None,
            )
        if samples and self.request.log_samples:
            self.store.write_samples(result, samples)
        return self.store.write(result, samples)

    def _submit(self, job: Job, pending: Result, predictions: Predictions | None) -> Result:
        """Write the predictions for the benchmark's server, and a record without metrics."""
        if predictions is None:
            raise IncompatibleError(f"--submit writes a model's own answers: {job.name} has none")
        items = job.protocol.submission(predictions.by_id)
        details = {"submission": str(self.store.write_submission(pending, items)), "num_answers": len(items)}
        return pending.completed(details=details)

    def score(
        self,
        job: Job,
        pending: Result,
        encoded: Mapping[View, Encoded | Exception],
        predictions: Predictions | None = None,
    ) -> tuple[Result, Mapping[str, Sequence[Any]]]:
        """Return one job's record and samples, which are not written. Raises what prevented it."""
        started = time.perf_counter()
        images: dict[str, Features] = {}
        passes: dict[View, Encoded] = {}
        for role, request in job.requests.items():
            split = encoded[request.view]
            if isinstance(split, Exception):
                raise split
            frame = (1, 1) if request.frame is None else request.frame.size
            images[role] = replace(split.features[request.layer], frame=frame)
            passes[request.view] = split
        open_set: dict[str, Any] = {}
        if job.needs.ood is not None:
            images[OPEN_SET], open_set = distinct(images[OPEN_SET], job, self.request.cache)
        text_encoder = self._text_encoders.get(job.needs.text_encoder or "", self.encoder)
        stage = self._stage_of(job)
        prompts = job.prompts
        inputs = Inputs(
            images=images,
            encode_texts=partial(self._encode_texts, text_encoder, stage) if text_encoder.info.has_text else None,
            class_names=prompts.class_names if prompts else self.dataset.class_names,
            templates=prompts.templates if prompts else self.dataset.templates,
            prompts_source=prompts.source if prompts else None,
            classes=prompts.classes if prompts else None,
            by_language=prompts.by_language if prompts else {},
            seed=self.request.seed,
            device=str(self.encoder.device),
            image_side=self._views.image_side(job),
            annotations=self._annotations(job, images, predictions),
            predictions=predictions.by_id if predictions else None,
            stage=stage,
            groups=groups_of(job.dataset, job.scored_split),
            count_tokens=partial(token_counts, text_encoder, self.request.cache),
            context_length=text_encoder.info.context_length,
            with_pictures=self.request.log_samples,
        )
        with exact_fp32(), stage("scoring", None, ""):
            scores: Scores = job.protocol.score(job.settings, inputs)
            controls = controls_of(job, pending, inputs, self.request.cache)
        timing = Timing(
            started=pending.timing.started,
            encode_s=sum(encoding.seconds for encoding in passes.values()),
            score_s=time.perf_counter() - started,
            images_encoded=sum(encoding.images_encoded for encoding in passes.values()),
        )
        costs = efficiency(job, passes, images, scores) if job.requests else None
        num_scored = len(inputs.annotations["test"]) if inputs.annotations else _num_images(images)
        result = pending.completed(
            metrics=tuple(scores.metrics),
            primary_metric=scores.primary,
            details=self._views.details(job) | dict(scores.details) | controls | _kept_in_fp16(job) | open_set,
            timing=timing,
            efficiency=costs,
            dataset=pending.dataset.model_copy(update={"num_samples": num_scored}),
        )
        return result, scores.samples

    def _stage_of(self, job: Job) -> Stage:
        """Return a function that starts a stage of a job's scoring."""

        def stage(what: str, total: int | None, unit: str) -> AbstractContextManager[Advance]:
            return self.progress.stage(f"{self.model}: {job.name}: {what}", total, unit, lasting=False)

        return stage

    def _encode_texts(self, encoder: Encoder, stage: Stage, texts: Sequence[str]) -> NDArray[Any]:
        with stage("encoding texts", len(set(texts)), "texts") as advance:
            return self._texts(encoder, texts, self.options, advance)

    def _annotations(
        self, job: Job, images: Mapping[str, Features], predictions: Predictions | None
    ) -> dict[str, list[Annotation]]:
        """Return annotations by role; with --limit only those of the images encoded, or those predicted for."""
        annotations = {role: list(in_role) for role, in_role in job.annotations().items()}
        limit = self.request.limit
        if limit is None:
            return annotations
        if predictions is not None:
            return {role: in_role[:limit] for role, in_role in annotations.items()}
        keys = {role: set(features.keys) for role, features in images.items()}
        return {
            role: [each for each in in_role if keys[role].issuperset(images_of(each))]
            for role, in_role in annotations.items()
        }


def _kept_in_fp16(job: Job) -> dict[str, Any]:
    """Return for the record which of the job's layers the store rounds."""
    layers = sorted({request.layer for request in job.requests.values() if bytes_per_number(request.layer) == 2})
    return {"features_in_fp16": layers} if layers else {}


def _num_images(images: Mapping[str, Features]) -> int:
    scored = scored_of(images)
    return len(scored.keys) + len(scored.bad)


def _raise_if_fatal(error: Exception) -> None:
    """Raise the error again if the disk is full or not writable, since the tasks that follow would fail too."""
    if isinstance(error, OSError) and error.errno in STOPS_THE_RUN:
        raise error
