"""The jobs of one model on one data set: encode each image once, ask, score, and write one record a job."""

from __future__ import annotations

import errno
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

from mlcd_eval.data.base import AnnotatedDataset, Annotation, fingerprint
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import IncompatibleError, UserError
from mlcd_eval.features.encode import Encoded, EncodeOptions, encode_split, encode_texts
from mlcd_eval.features.letterbox import LetterboxedEncoder
from mlcd_eval.features.predict import Predictions, predict
from mlcd_eval.features.workers import default_workers
from mlcd_eval.planning.locate import prompts_of
from mlcd_eval.planning.plan import Job, Plan
from mlcd_eval.protocols.base import Features, Inputs, Scores
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.records import Result, ResultStore, Timing
from mlcd_eval.records.environment import environment
from mlcd_eval.records.pending import now, requests_of, splits_of
from mlcd_eval.support.distributed import rank
from mlcd_eval.support.progress import Progress

Pass = tuple[str, bool]
"""A split, and whether its images were shown whole."""

STOPS_THE_RUN = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


class DatasetRun:
    """todo: the jobs, each with its record before there are numbers. text_encoders: by spec, those that lend their text
    tower."""

    def __init__(
        self,
        plan: Plan,
        encoder: Encoder,
        text_encoders: Mapping[str, Encoder],
        todo: Sequence[tuple[Job, Result]],
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.request = request = plan.request
        self.encoder = encoder
        self.todo = todo
        self.dataset = plan.open(todo[0][0])
        self.progress = progress
        self.store = ResultStore(request.output)
        self.options = EncodeOptions(
            cache=request.cache,
            precision=request.precision,
            batch_size=request.batch_size,
            workers=default_workers(encoder.device) if request.workers is None else request.workers,
            limit=request.limit,
            allow_bad_images=request.allow_bad_images,
        )
        self._text_encoders = text_encoders

    def results(self) -> Iterator[Result]:
        """Each record as soon as it is on disk; on ranks other than the first none."""
        encoded = self._encode()
        for job, blank in self.todo:
            predictions = self._predict(job)
            if rank() == 0:  # the others help to encode and to ask; one scores and writes
                yield self._finish(job, blank, encoded, predictions)

    @cached_property
    def _whole(self) -> LetterboxedEncoder:
        """Made once, since it measures what the preprocessing crops."""
        return LetterboxedEncoder(self.encoder)

    def _encode(self) -> dict[Pass, Encoded | Exception]:
        """(split, whole) -> features at every layer that one of the jobs asks for, or why there are none."""
        layers: dict[Pass, dict[str, None]] = {}
        for job, _ in self.todo:
            for request in requests_of(self.plan, job).values():
                layers.setdefault((request.split, request.letterbox), {})[request.layer] = None
        encoded: dict[Pass, Encoded | Exception] = {}
        for (name, whole), wanted in layers.items():
            split = self.dataset.split(name)
            title = f"{self.encoder.info.name}: {split.dataset}/{name}"
            with self.progress.stage(title, split.scan().num_samples, "images") as advance:
                try:
                    encoder = self._whole if whole else self.encoder
                    encoded[name, whole] = encode_split(encoder, split, list(wanted), self.options, advance)
                except Exception as error:
                    _raise_if_fatal(error)
                    encoded[name, whole] = error
        return encoded

    def _predict(self, job: Job) -> Predictions | Exception | None:
        """The model's own masks or answers to what is scored, if the protocol asks for them, or why there are none."""
        ability = get_protocol(job.task.protocol).ability(job.settings)
        if ability is None:
            return None
        try:
            return self._ask(job, ability)
        except Exception as error:
            _raise_if_fatal(error)
            return error

    def _ask(self, job: Job, ability: str) -> Predictions:
        dataset = self.dataset
        assert isinstance(dataset, AnnotatedDataset), "only these have what a model can be asked"
        name = splits_of(self.plan, job)["test"]
        asked = dataset.annotations(name)[: self.request.limit]
        with self.progress.stage(f"{self.encoder.info.name}: {job.task.name}", len(asked), ability + "s") as advance:
            return predict(
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
        self,
        job: Job,
        blank: Result,
        encoded: dict[Pass, Encoded | Exception],
        predictions: Predictions | Exception | None,
    ) -> Result:
        """Score one job, write its record, of success or failure, and return it."""
        here = {"environment": environment(str(self.encoder.device)), "timing": now()}
        blank = blank.model_copy(update=here)
        try:
            if isinstance(predictions, Exception):
                raise predictions
            if self.request.submit:
                result, samples = self._submit(job, blank, predictions), None
            else:
                result, samples = self._score(job, blank, encoded, predictions)
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

    def _submit(self, job: Job, blank: Result, predictions: Predictions | None) -> Result:
        """Write the answers in the form of the Robust Reading Competition's server, and a record without metrics."""
        if predictions is None or job.task.protocol != "docvqa":
            raise IncompatibleError(f"--submit writes a model's own answers to questions: {job.task.name} has none")
        path = self.store.write_submission(blank, predictions.by_id)
        details = {"submission": str(path), "num_answers": len(predictions.by_id)}
        return Result.model_validate({**blank.model_dump(), "details": details})

    def _score(
        self, job: Job, blank: Result, encoded: dict[Pass, Encoded | Exception], predictions: Predictions | None
    ) -> tuple[Result, Mapping[str, Sequence[Any]]]:
        started = time.perf_counter()
        images: dict[str, Features] = {}
        passes: dict[Pass, Encoded] = {}
        for role, request in requests_of(self.plan, job).items():
            key = (request.split, request.letterbox)
            split = encoded[key]
            if isinstance(split, Exception):
                raise split
            images[role] = split.features[request.layer]
            passes[key] = split
        protocol = get_protocol(job.task.protocol)
        lends = self._text_encoders.get(getattr(job.settings, "text_encoder", None) or "", self.encoder)
        found = prompts_of(job.task, self.dataset)
        inputs = Inputs(
            images=images,
            encode_texts=partial(encode_texts, lends, options=self.options) if lends.info.has_text else None,
            class_names=found.class_names if found else self.dataset.class_names,
            templates=found.templates if found else self.dataset.templates,
            prompts_source=found.source if found else None,
            seed=self.request.seed,
            device=str(self.encoder.device),
            annotations=self._annotations(job, images, predictions),
            predictions=predictions.by_id if predictions else None,
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
        self, job: Job, images: Mapping[str, Features], predictions: Predictions | None
    ) -> dict[str, list[Annotation]]:
        """By role; with --limit those of the images that were encoded, or that the model was asked."""
        if not isinstance(self.dataset, AnnotatedDataset):
            return {}
        found = {role: list(self.dataset.annotations(split)) for role, split in splits_of(self.plan, job).items()}
        if self.request.limit is None:
            return found
        if predictions is not None:
            return {role: ones[: self.request.limit] for role, ones in found.items()}
        keys = {role: set(features.keys) for role, features in images.items()}
        return {role: [one for one in ones if one.image in keys[role]] for role, ones in found.items()}


def _num_images(images: Mapping[str, Features]) -> int:
    scored = images.get("test", list(images.values())[-1])
    return len(scored.keys) + len(scored.bad)


def _raise_if_fatal(error: Exception) -> None:
    """A full or read-only disk, or a folder of others, ends the run: no task after it would fare better."""
    if isinstance(error, OSError) and error.errno in STOPS_THE_RUN:
        raise error
