"""From a plan to records: each model loaded once, each image encoded once, each record written when its task ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mlcd_eval.data.base import AnnotatedDataset, Dataset, num_scored
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.errors import DataError, UserError
from mlcd_eval.features.decoders import check_decoder, with_decoder
from mlcd_eval.features.lazy import open_encoder
from mlcd_eval.planning.job import Job
from mlcd_eval.planning.models import PlannedModel
from mlcd_eval.planning.plan import Plan
from mlcd_eval.records import Result
from mlcd_eval.request import RunRequest
from mlcd_eval.running.model import ModelRun
from mlcd_eval.running.open_set import shared_in_words
from mlcd_eval.support.determinism import deterministic
from mlcd_eval.support.device import pick_device
from mlcd_eval.support.fileio import check_writable
from mlcd_eval.support.progress import Progress

if TYPE_CHECKING:
    import torch


def run(plan: Plan, progress: Progress | None = None) -> Iterator[Result]:
    """Carry out a plan, yielding each record as soon as it is on disk.

    Raises UserError for a problem with the request, the data (whose labels and headers are read first) or a model.
    """
    plan.raise_problems()
    with deterministic(plan.request.deterministic):
        yield from _records(plan, progress or Progress())


def _records(plan: Plan, progress: Progress) -> Iterator[Result]:
    request = plan.request
    pick = partial(pick_device, request.device)
    if request.device == "cuda":
        pick()  # reports a missing device before anything is read; other devices may never need torch
    check_writable(request.output)
    check_decoder(request.decoder)
    jobs = plan.open()
    _scan(jobs, request, progress)
    for model in plan.models.values():
        own = [job for job in jobs if (model.name, job.name) not in plan.refused]
        if not own:
            continue
        encoder = open_model(model, request, pick, progress)
        untrained = encoder.info.extra.get("weights")
        if untrained is not None:
            progress.say(f"{model.name} has no trained weights ({untrained}): its numbers mean nothing")
        yield from ModelRun(request, model, encoder, own, progress).results()


def open_model(
    model: PlannedModel, request: RunRequest, pick: Callable[[], torch.device], progress: Progress
) -> Encoder:
    """Return the model's encoder on its device, with the request's decoder.

    A model in memory that is on another device than the CPU stays there if the request leaves the choice.
    """
    if model.encoder is None:
        options = {"trust_remote_code": request.trust_remote_code, "offline": request.offline}
        opened = open_encoder(model.spec, pick, request.precision, request.cache, progress.say, **options)
    else:
        stays = request.device == "auto" and model.encoder.device.type != "cpu"
        opened = model.encoder.to(model.encoder.device if stays else pick(), request.precision)
    return with_decoder(opened, request.decoder)


def _scan(jobs: Sequence[Job], request: RunRequest, progress: Progress) -> None:
    """Read every split's headers and labels, so that damaged data is reported before any image is encoded."""
    problems: list[str] = []
    notes: dict[str, None] = {}
    splits = {(job.ref, job.needs.ood, split): job for job in jobs for split in job.splits.values()}
    with progress.stage("checking data", len(splits), "splits") as advance:
        for (*_, split), job in splits.items():
            try:
                _check_missing(job.dataset, split, request.allow_bad_images)
                note = job.task.dataset.size_note(split, num_scored(job.dataset, split))
                if note is not None:
                    notes[note] = None
            except UserError as error:
                problems.append(str(error))
            advance(1)
    for job in jobs if not problems else ():
        for sentence in _unnamed_classes(job):
            if job.prompts is not None:
                problems.append(f"{job.name} needs a name for each class: {sentence}")
            else:
                notes[f"note: {sentence}; only zero-shot needs them"] = None
    for job in jobs if not problems else ():
        if job.needs.ood is not None:
            try:
                with progress.stage(f"{job.name}: comparing images with those of {job.needs.ood}", None, ""):
                    notes |= dict.fromkeys(shared_in_words(job, request.cache))
            except UserError as error:
                problems.append(str(error))
    for note in notes:
        progress.say(note)
    if problems:
        raise DataError("\n".join(dict.fromkeys(problems)))


def _unnamed_classes(job: Job) -> Iterator[str]:
    """Yield a sentence for each split with a label beyond the class names, where there are any."""
    if job.prompts and job.prompts.classes is not None:  # names of some classes, whose images alone are scored
        return
    names = job.prompts.class_names if job.prompts else job.dataset.class_names
    for split in dict.fromkeys(job.splits.values() if names else ()):
        needed = job.dataset.split(split).scan().num_classes or 0
        if names and needed > len(names):
            yield (
                f"split {split!r} of {job.dataset.name} has labels up to {needed - 1} and {len(names)} class names, "
                f"expected {needed}"
            )


def _check_missing(dataset: Dataset, split: str, allowed: int) -> None:
    """Raise DataError if more images are missing than allowed. Annotated data tolerates none and raises on its own."""
    if isinstance(dataset, AnnotatedDataset):
        return
    missing = [key for scan in dataset.split(split).scans for key in scan.missing]
    if len(missing) > allowed:
        raise DataError(
            f"split {split!r} of {dataset.name}: got {len(missing)} images that are broken links, expected at most "
            f"{allowed} (--allow-bad-images): {', '.join(missing[:5])}"
        )
