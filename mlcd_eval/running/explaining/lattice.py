"""The dialects of a record's task, measured on the images of its run: nothing that is kept is encoded again."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import ConfigError, DataError, UserError
from mlcd_eval.features.encode import EachTextOnce
from mlcd_eval.features.reuse import KeptImages
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.planning.job import Job
from mlcd_eval.planning.models import PlannedModel
from mlcd_eval.records import Result
from mlcd_eval.records.pending import model_record
from mlcd_eval.running.dataset import DatasetRun
from mlcd_eval.running.explaining.factors import Factors, Point, changed_job, factors_of, protocol_with_factors
from mlcd_eval.running.repeated import identity, plan_of, request_of
from mlcd_eval.running.run import open_model
from mlcd_eval.support.addresses import redacted
from mlcd_eval.support.determinism import deterministic
from mlcd_eval.support.device import pick_device
from mlcd_eval.support.progress import Progress

LONG = 60.0
"""Seconds of scoring that are announced after the first dialect."""


class Lattice:
    """The combinations of the factors' values. `record`: the run's own, with which the point (0, ..., 0) agrees."""

    def __init__(
        self, record: Result, job: Job, factors: Factors, encoder: Encoder, model: PlannedModel, progress: Progress
    ) -> None:
        self.record = record
        self.factors = factors
        self.left_out: dict[Point, str] = {}
        self._job = job
        self._encoder = encoder
        self._model = model
        self._progress = progress
        self._texts = EachTextOnce()
        self._images = KeptImages(progress.say)
        self._results: dict[Point, Result] = {}
        self._own_samples: Columns | None = None

    def pending(self, point: Point) -> Result | None:
        """Return a dialect's record before it is scored, with its prompts; None where it cannot be measured here."""
        job = self._job_of(point)
        if job is None:
            return None
        prompts = job.prompts
        details = {"prompts": prompts.source, "num_templates": len(prompts.templates)} if prompts else {}
        return self._pending(job).model_copy(update={"details": details})

    def results(self, points: Iterable[Point]) -> dict[Point, Result]:
        """Return the records of dialects, without those that cannot be measured here, for which `left_out` says why.

        Images that are not kept are encoded in one pass for all of the points.
        """
        wanted = list(dict.fromkeys(points))
        todo = [point for point in wanted if point not in self._results and point not in self.left_out]
        if todo:
            self._measure(todo)
        return {point: self._results[point] for point in wanted if point in self._results}

    def samples(self, point: Point) -> Columns:
        """Return the outcome of each sample in a dialect that was measured; those of the record's own are kept."""
        if point == self.factors.own and self._own_samples is not None:
            return self._own_samples
        job = self._job_of(point)
        assert job is not None, "it was measured"
        run = self._run([job])
        samples = run.score(job, self._pending(job), run.encode())[1]
        if point == self.factors.own:
            self._own_samples = samples
        return samples

    def _measure(self, points: Sequence[Point]) -> None:
        jobs = {point: job for point in points if (job := self._job_of(point)) is not None}
        if not jobs:
            return
        run = self._run(list(jobs.values()))
        with deterministic(run.request.deterministic):
            encoded = run.encode()
            title = f"{self._model.name}: {self._job.name}: dialects"
            with self._progress.stage(title, len(jobs), "dialects") as advance:
                for number, (point, job) in enumerate(jobs.items(), 1):
                    started = time.perf_counter()
                    try:
                        self._results[point] = run.score(job, self._pending(job), encoded)[0]
                    except UserError as error:
                        self.left_out[point] = str(error)
                    advance(1)
                    if number == 1 and (cost := (time.perf_counter() - started) * (len(jobs) - 1)) > LONG:
                        self._progress.say(f"{title}: about {cost / 60:.0f} min for the other {len(jobs) - 1}")

    def _run(self, jobs: Sequence[Job]) -> DatasetRun:
        todo = [(job, self._pending(job)) for job in jobs]
        return DatasetRun(self._job.request, self._encoder, {}, todo, self._progress, self._texts, self._images)

    def _job_of(self, point: Point) -> Job | None:
        if point == self.factors.own:
            return self._job
        try:
            return changed_job(self._job, self._encoder.info, self.factors.change(point))
        except UserError as error:
            self.left_out[point] = str(error)
            return None

    def _pending(self, job: Job) -> Result:
        precision = self._job.request.precision
        model = model_record(self._model.name, redacted(self._model.spec), self._encoder.info, precision)
        return job.pending_record(model, self._model.text)


def open_lattice(
    record: Result,
    path: Path,
    changes: Mapping[str, Any],
    more: Mapping[str, Sequence[Any]],
    *,
    allow_code: bool = False,
    progress: Progress | None = None,
) -> Lattice:
    """Return the dialects of a record's task.

    path: of the record, for messages. changes: fields of RunRequest for this machine, and `models` for another spec of
    the same weights. more: further values of some factors. allow_code: see `plan_of`. Raises UserError for a record
    that cannot be measured again here.
    """
    progress = progress or Progress()
    protocol_with_factors(record.task.protocol, record.task.name)
    request = request_of(record, path, changes)
    if record.request is not None and record.request.predictions is not None:
        raise ConfigError(f"{path} is of saved predictions, for which no features are kept, expected a record of a run")
    plan = plan_of(record, path, request, allow_code=allow_code)
    (planned,) = plan.models.values()
    encoder = open_model(planned, request, partial(pick_device, request.device), progress)
    (located,) = plan.tasks.values()
    job = plan.selection.job(located).for_model(encoder.info)
    lattice = Lattice(record, job, factors_of(job, encoder.info, more), encoder, planned, progress)
    own = lattice.pending(lattice.factors.own)
    assert own is not None, "the record's own job was made"
    if own.request_key() != record.request_key():
        before, after = identity(record), identity(own)
        differing = [
            f"{name} {before.get(name)!r}, now {after[name]!r}" for name in after if before.get(name) != after[name]
        ]
        raise DataError(
            f"{path} was measured with other versions, weights or data than there are here, expected it to be run "
            f"again: {'; '.join(differing)}"
        )
    return lattice
