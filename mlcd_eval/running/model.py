"""All jobs of one model: which records are there, and the others' data sets one after another.

Where every record is there, nothing heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.lazy import open_encoder
from mlcd_eval.planning.plan import Job, Plan
from mlcd_eval.protocols.registry import get_protocol
from mlcd_eval.records import Result, ResultStore
from mlcd_eval.records.pending import blank, requests_of
from mlcd_eval.support.distributed import barrier, broadcast_object, rank
from mlcd_eval.support.progress import Progress


class ModelRun:
    """Raises IncompatibleError for a job that the model cannot serve, before any image is encoded."""

    def __init__(self, plan: Plan, encoder: Encoder, jobs: list[Job], progress: Progress) -> None:
        self.plan = plan
        self.request = plan.request
        self.encoder = encoder
        self.jobs = [
            replace(job, settings=get_protocol(job.task.protocol).for_model(job.settings, encoder.info)) for job in jobs
        ]
        self.progress = progress
        self.store = ResultStore(plan.request.output)
        for job in self.jobs:
            self._check_encoder(job)
        lenders = dict.fromkeys(getattr(job.settings, "text_encoder", None) for job in self.jobs)
        self._text_encoders = {spec: self._open_text_encoder(spec) for spec in lenders if spec}

    def _check_encoder(self, job: Job) -> None:
        info = self.encoder.info
        if get_protocol(job.task.protocol).needs_text and not info.has_text:
            raise IncompatibleError(
                f"{job.task.name} needs a text tower: got model {info.spec!r}, which {info.no_text}, "
                f"expected an image-text model, or tasks such as linear_probe and knn"
            )
        for request in requests_of(self.plan, job).values():
            if request.layer not in info.layers:
                raise IncompatibleError(
                    f"{job.task.name} needs layer {request.layer!r}: got model {info.spec!r} "
                    f"with {', '.join(info.layers)}"
                )

    def _open_text_encoder(self, spec: str) -> Encoder:
        """An encoder that lends its text tower."""
        options = {"trust_remote_code": self.request.trust_remote_code, "offline": self.request.offline}
        encoder = open_encoder(
            spec, lambda: self.encoder.device, self.request.precision, self.request.cache, self.progress.say, **options
        )
        if not encoder.info.has_text:
            raise IncompatibleError(
                f"text_encoder: got {spec!r}, which {encoder.info.no_text}, expected a model with one"
            )
        return encoder

    def results(self) -> Iterator[Result]:
        """One dataset after another, so that one pass over its images serves all of its tasks."""
        by_data: dict[str, list[Job]] = {}
        for job in self.jobs:
            by_data.setdefault(job.dataset_ref, []).append(job)
        for jobs in by_data.values():
            blanks = [blank(self.plan, job, self.encoder.info) for job in jobs]
            found = [self.store.done(one, self.request.log_samples) for one in blanks]
            kept = broadcast_object(found if self.request.resume else [None] * len(jobs))
            for job, record in zip(jobs, kept, strict=True):
                if record is not None and rank() == 0:
                    self.progress.say(f"{job.task.name}: kept the record of {record.timing.started}")
                    yield record
                elif self.request.resume and rank() == 0 and job.path.is_file():
                    self.progress.say(f"{job.task.name}: replaces {job.path}, of another request or a failure")
            todo = [(job, one) for job, one, record in zip(jobs, blanks, kept, strict=True) if record is None]
            if todo:
                from mlcd_eval.running.dataset import DatasetRun  # imports torch

                run = DatasetRun(self.plan, self.encoder, self._text_encoders, todo, self.progress)
                yield from run.results()
            barrier()
