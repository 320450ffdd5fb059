"""From a plan to records: each model loaded once, each image encoded once, one record a task as soon as it ends."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import groupby

from mlcd_eval.data.base import AnnotatedDataset, Dataset, num_scored
from mlcd_eval.errors import DataError, UserError
from mlcd_eval.features.lazy import open_encoder
from mlcd_eval.planning.plan import Plan
from mlcd_eval.records import Result
from mlcd_eval.records.pending import splits_of
from mlcd_eval.running.model import ModelRun
from mlcd_eval.support.device import pick_device
from mlcd_eval.support.fileio import check_writable
from mlcd_eval.support.progress import Progress


def run(plan: Plan, progress: Progress | None = None) -> Iterator[Result]:
    """Carry out a plan; yields each record as soon as it is on disk.

    Raises UserError where the request, the data (seen by reading labels and headers) or a model cannot work.
    """
    plan.raise_problems()
    progress = progress or Progress()
    pick = partial(pick_device, plan.request.device)
    if plan.request.device == "cuda":
        pick()  # a device that is not there is told before anything is read; else torch may not be needed
    check_writable(plan.request.output)
    _scan(plan, progress)
    for spec, jobs in groupby(plan.jobs, key=lambda job: job.model_spec):
        options = {"trust_remote_code": plan.request.trust_remote_code, "offline": plan.request.offline}
        encoder = open_encoder(spec, pick, plan.request.precision, plan.request.cache, progress.say, **options)
        untrained = encoder.info.extra.get("weights")
        if untrained is not None:
            progress.say(f"{encoder.info.name} has no trained weights ({untrained}): numbers only show that it runs")
        yield from ModelRun(plan, encoder, list(jobs), progress).results()


def _scan(plan: Plan, progress: Progress) -> None:
    """Read every split's headers and labels, so that damaged data is found before the first encode."""
    problems = []
    wanted = {(job.dataset_ref, split): job for job in plan.jobs for split in splits_of(plan, job).values()}
    with progress.stage("checking data", len(wanted), "splits") as advance:
        for (_, split), job in wanted.items():
            try:
                dataset = plan.open(job)
                _check_missing(dataset, split, plan.request.allow_bad_images)
                note = job.task.dataset.size_note(split, num_scored(dataset, split))
                if note is not None:
                    progress.say(note)
            except UserError as error:
                problems.append(str(error))
            advance(1)
    if problems:
        raise DataError("\n".join(dict.fromkeys(problems)))


def _check_missing(dataset: Dataset, split: str, allowed: int) -> None:
    """Raise DataError where more images are missing than may be bad; annotated data bears none, and says so itself."""
    if isinstance(dataset, AnnotatedDataset):
        return
    missing = [one for scan in dataset.split(split).scans for one in scan.missing]
    if len(missing) > allowed:
        raise DataError(
            f"split {split!r} of {dataset.name}: got {len(missing)} images that are links to no file, expected at most "
            f"{allowed} (--allow-bad-images): {', '.join(missing[:5])}"
        )
