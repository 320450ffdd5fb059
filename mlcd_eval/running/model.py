"""All tasks of one model, one data set after another. Existing records of the same request are kept.

If every record is kept, nothing heavy is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.lazy import open_encoder
from mlcd_eval.planning.job import Job
from mlcd_eval.planning.models import PlannedModel, left_out
from mlcd_eval.records import Result, ResultStore
from mlcd_eval.records.pending import model_record
from mlcd_eval.request import RunRequest
from mlcd_eval.running.agreement import check_ranks_agree
from mlcd_eval.support.addresses import redacted
from mlcd_eval.support.distributed import barrier, broadcast_object, rank
from mlcd_eval.support.progress import Progress


class ModelRun:
    """The jobs of one model.

    Raises IncompatibleError before any image is encoded if the model cannot do all of them, or leaves such jobs out if
    the request says so.
    """

    def __init__(
        self, request: RunRequest, model: PlannedModel, encoder: Encoder, jobs: Sequence[Job], progress: Progress
    ) -> None:
        self.request = request
        self.encoder = encoder
        self.progress = progress
        self.jobs = self._compatible(jobs)
        self.store = ResultStore(request.output)
        self._text = model.text
        self._model = model_record(model.name, redacted(model.spec), encoder.info, request.precision)
        specs = dict.fromkeys(job.needs.text_encoder for job in self.jobs)
        self._text_encoders = {spec: self._open_text_encoder(spec) for spec in specs if spec}

    def _compatible(self, jobs: Sequence[Job]) -> list[Job]:
        """Return the jobs as the model does them, without those that it cannot do."""
        possible, refused = [], []
        for job in jobs:
            try:
                possible.append(job.for_model(self.encoder.info))
            except IncompatibleError as error:
                refused.append(str(error))
        if refused and not self.request.skip_incompatible:
            raise IncompatibleError("\n".join(map(left_out, refused)))
        for sentence in refused:
            self.progress.say(f"left out: {sentence}")
        return possible

    def _open_text_encoder(self, spec: str) -> Encoder:
        """Open another model whose text tower is used."""
        request = self.request
        options = {"trust_remote_code": request.trust_remote_code, "offline": request.offline}
        encoder = open_encoder(
            spec, lambda: self.encoder.device, request.precision, request.cache, self.progress.say, **options
        )
        if not encoder.info.has_text:
            raise IncompatibleError(
                f"text_encoder: got {spec!r}, which {encoder.info.no_text}, expected a model with one"
            )
        return encoder

    def results(self) -> Iterator[Result]:
        """Yield the records, one data set after another, so that one pass over its images serves all of its tasks."""
        check_ranks_agree(self.request, [self.encoder, *self._text_encoders.values()], self.jobs)
        by_data: dict[tuple[str, str, str | None], list[Job]] = {}
        for job in self.jobs:
            by_data.setdefault((job.ref, job.dataset.name, job.needs.ood), []).append(job)
        for jobs in by_data.values():
            pending = [(job, job.pending_record(self._model, self._text)) for job in jobs]
            kept = broadcast_object([self._kept(record) for _, record in pending])
            for (job, record), done in zip(pending, kept, strict=True):
                if done is not None and rank() == 0:
                    self.progress.say(f"{job.name}: kept the record of {done.timing.started}")
                    yield done
                elif self.request.resume and rank() == 0 and (path := self.store.path(record)).is_file():
                    self.progress.say(f"{job.name}: replaces {path}, which failed or is of a different request")
            todo = [work for work, done in zip(pending, kept, strict=True) if done is None]
            if todo:
                from mlcd_eval.running.dataset import DatasetRun  # imports torch

                with self.store.claimed([record for _, record in todo] if rank() == 0 else []):
                    run = DatasetRun(self.request, self.encoder, self._text_encoders, todo, self.progress)
                    yield from run.results()
            barrier()

    def _kept(self, pending: Result) -> Result | None:
        """Return an earlier run's record of the same request, None if there is none or --no-resume is set."""
        return self.store.done(pending, self.request.log_samples) if self.request.resume else None
