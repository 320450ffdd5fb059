"""How much of the disk the features of a plan will take, as far as that is known before a model is loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from mlcd_eval.encoders.base import PATCHES, POOLED, PROJECTED_PATCHES, EncoderInfo
from mlcd_eval.encoders.layers import VALUE_PATCHES, is_inside
from mlcd_eval.errors import UserError
from mlcd_eval.features.lazy import remembered_info
from mlcd_eval.features.store import bytes_per_number
from mlcd_eval.planning.job import Job
from mlcd_eval.planning.models import PlannedModel
from mlcd_eval.planning.plan import Plan

GRIDS = (PATCHES, PROJECTED_PATCHES, VALUE_PATCHES)
"""Layers of a vector for each patch; a model's input decides how many there are."""


@dataclass(frozen=True)
class KeptFeatures:
    """What one model's features at one layer of a split take: bytes for each image, None if the layer is a grid or the
    model's size is not known yet; images: None if neither the task's file nor the data says how many there are.
    bytes_per_patch: of a grid, each of whose patches takes as many."""

    model: str
    split: str
    layer: str
    bytes_per_image: int | None
    images: int | None
    bytes_per_patch: int | None = None

    def in_words(self) -> str:
        """Return a sentence."""
        precision = "fp16" if is_inside(self.layer) else "fp32"
        if self.bytes_per_patch is not None:
            each = f"{self.bytes_per_patch / 1e3:,.1f} KB per patch"
            total = "" if self.images is None else f", {self.bytes_per_patch * self.images / 1e6:,.1f} MB times patches"
            return f"{self.model}  {self.split}: {self.layer} takes {each} of the disk in {precision}{total}"
        if self.bytes_per_image is None:
            return f"{self.model}  {self.split}: {self.layer} in {precision}, of a size that is known once it is loaded"
        each = f"{self.bytes_per_image / 1e3:,.1f} KB per image"
        total = "" if self.images is None else f", {self.bytes_per_image * self.images / 1e6:,.1f} MB in all"
        return f"{self.model}  {self.split}: {self.layer} takes {each} of the disk in {precision}{total}"


def kept_features(plan: Plan) -> list[KeptFeatures]:
    """Return what each grid of patches and each layer inside a tower that the plan asks for takes, with the pooled ones
    that are kept beside the latter. Data that is slow to open is left out."""
    kept: dict[tuple[str, str, str], KeptFeatures] = {}
    for model in plan.models.values():
        info = _info(plan, model)
        for job in _jobs(plan, model.name):
            for request in job.requests.values():
                if not (is_inside(request.layer) or request.layer in GRIDS):
                    continue
                split = " ".join(filter(None, (f"{job.dataset.name}/{request.split}", request.alteration)))
                images = _num_images(job, request.split, plan.request.limit)
                if request.layer in GRIDS:
                    width = info.width_of(request.layer) if info else None
                    each = None if width is None else width * bytes_per_number(request.layer)
                    features = KeptFeatures(model.name, split, request.layer, None, images, each)
                    kept[model.name, split, request.layer] = features
                    continue
                pooled = [layer for layer in POOLED if info and layer in info.layers]
                for layer in (request.layer, *pooled):
                    numbers = info.numbers_of(layer) if info else None
                    each = None if numbers is None else numbers * bytes_per_number(layer)
                    kept[model.name, split, layer] = KeptFeatures(model.name, split, layer, each, images)
    return list(kept.values())


def _jobs(plan: Plan, model: str) -> Iterator[Job]:
    for task in plan.tasks_of(model):
        try:
            if not plan.selection.is_slow(task):
                yield plan.selection.job(task)
        except UserError:  # is among the plan's problems
            continue


def _num_images(job: Job, split: str, limit: int | None) -> int | None:
    """Return the size that the task's file gives, or the local data shows, None where both do not tell."""
    size = job.task.dataset.expected_size(split)
    if size is None:
        with contextlib.suppress(UserError):  # damaged data is reported by the run, before it encodes
            size = job.dataset.split(split).scan().num_samples
    return size if size is None or limit is None else min(size, limit)


def _info(plan: Plan, model: PlannedModel) -> EncoderInfo | None:
    if model.encoder is not None:
        return model.encoder.info
    options = {"trust_remote_code": plan.request.trust_remote_code, "offline": plan.request.offline}
    return remembered_info(model.spec, plan.request.cache, **options)
