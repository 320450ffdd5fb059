"""Linear segmentation of frozen patch features: a multinomial logistic regression on patches, exact and in seconds.

Each patch of the train images learns the most frequent class of its pixels (tokens.py). A test image's scores are
interpolated from its patches to its own pixels, and each pixel gets the best class; padding is never learned from or
scored. The encoder sees whole images (letterboxed). The linear layer is that of DINOv2's and DINOv3's evaluation, which
trains it by SGD on crops; the objective here is the same, its minimum is found by linear_probe's solver.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

from mlcd_eval.data.base import UNLABELLED
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.dense import DENSE, class_ious
from mlcd_eval.protocols.base import Control, ImageRequest, Inputs, Protocol, Scores
from mlcd_eval.protocols.dialects import ProtocolSettings
from mlcd_eval.protocols.segmentation.baselines import BASELINES
from mlcd_eval.protocols.segmentation.tokens import (
    HeldOut,
    Images,
    Tokens,
    held_out_of,
    images_of,
    labels_of,
    tokens_of,
)
from mlcd_eval.protocols.shared.finite import check_finite

BASELINE_IMAGES = 2000
"""Of train, from which a baseline learns at most."""


class SegLinearSettings(ProtocolSettings):
    """split: the scored split, by default test, or val where there is no test. layer: whose patches are classified.

    patches: train patches that are fitted, at most; of more of them as many are drawn. lambda_: fixed, in place of the
    search, which is on the val split, or where that is missing or scored on val_fraction of train's units (scenes,
    else images). max_iter, tolerance: of the last fit, as in linear_probe.
    """

    split: str | None = None
    layer: Literal["patches", "projected_patches"] = "patches"
    patches: PositiveInt = 500_000
    lambda_: PositiveFloat | None = None
    val_fraction: float = Field(default=0.2, gt=0, lt=1)
    max_iter: PositiveInt = 1000
    tolerance: PositiveFloat = 1e-5


class SegLinear(Protocol[SegLinearSettings]):
    """Primary: miou. Details: the IoU of each class, and what patches score that hold only their place or colour."""

    name = "seg_linear"
    version = 1
    Settings = SegLinearSettings
    kinds = ("segmentation",)
    pwc_tasks = ("Semantic Segmentation",)
    pwc_metrics = (("miou", "Mean IoU"), ("pixel_accuracy", "Pixel Accuracy"))
    hub_task_type = "image-segmentation"

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """It draws the held-out images, and the patches where there are too many."""
        return True

    def requests(self, settings: SegLinearSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patches of train, of val if lambda is chosen on it, and of the scored split."""
        scored = settings.split or ("test" if "test" in splits else "val")
        for split in ("train", scored):
            if split not in splits:
                raise IncompatibleError(f"{self.name} reads the split {split!r}: got {', '.join(splits)}")
        if scored == "train":
            raise IncompatibleError(f"{self.name} learns from train: got split train to score, expected another one")
        roles = {"train": "train"}
        if "val" in splits and scored != "val" and settings.lambda_ is None:
            roles["val"] = "val"
        roles["test"] = scored
        return {role: ImageRequest(split, settings.layer, letterbox=True) for role, split in roles.items()}

    def score(self, settings: SegLinearSettings, inputs: Inputs) -> Scores:
        """Raises DataError for features that are not finite, and IncompatibleError where train has one class."""
        from mlcd_eval.metrics.table import measure

        images = {role: images_of(each, inputs.annotations[role], role) for role, each in inputs.images.items()}
        for role, features in inputs.images.items():
            check_finite(features.array, f"patch features of {role}", features.keys)
        names = _class_names(inputs, images)
        columns, details = _segmented(settings, images, len(names), inputs)
        num_unread = images["test"].num_unread
        metrics = [measure(name, columns, inputs.seed, num_unread) for name in DENSE]
        sums = [np.sum(columns[f"class_{each}"], axis=0) for each in ("intersection", "union")]
        ious = class_ious(*sums)
        details["class_iou"] = {
            name: None if np.isnan(iou) else float(iou) for name, iou in zip(names, ious, strict=True)
        }
        details["baselines"] = {name: _baseline(settings, images, name, len(names), inputs) for name in BASELINES}
        return Scores(metrics=metrics, primary="miou", samples=columns, details=details)

    def controls(self, settings: SegLinearSettings, inputs: Inputs) -> list[Control]:
        """Of patches that hold the shares of their classes."""
        from mlcd_eval.protocols.segmentation.controls import class_controls

        return class_controls(self, settings, inputs)


def _class_names(inputs: Inputs, images: Mapping[str, Images]) -> list[str]:
    """The names of all classes, as the data or its labels have them."""
    if inputs.class_names is not None:
        return list(inputs.class_names)
    most = max(int(each.pixels().max()) for of_role in images.values() for each in of_role.maps)
    return [str(number) for number in range(most + 1)]


def _segmented(
    settings: SegLinearSettings,
    images: Mapping[str, Images],
    num_classes: int,
    inputs: Inputs,
    boundaries: bool = True,
) -> tuple[dict[str, Sequence[Any]], dict[str, Any]]:
    """Return the columns of the test images, and how they were made."""
    from mlcd_eval.protocols.segmentation.maps import linear, overlaps_of
    from mlcd_eval.protocols.segmentation.token_classifier import FITS, Regularisation, fit_tokens

    fitted, held_out = _tokens(settings, images, num_classes, inputs.seed)
    how = Regularisation(settings.lambda_, settings.max_iter, settings.tolerance)
    with inputs.stage("fits of the classifier", 1 if held_out is None else FITS, "fits") as advance:
        fit, details = fit_tokens(fitted, held_out, num_classes, how, inputs.device, advance)
    del fitted, held_out
    test = images["test"]
    with inputs.stage("classes of pixels", len(test.maps), "images") as advance:
        scores = linear(fit.weight, fit.bias)
        columns = overlaps_of(test, scores, num_classes, inputs.device, advance, boundaries)
    return columns, {"grid": list(test.grid), **details}


def _tokens(
    settings: SegLinearSettings, images: Mapping[str, Images], num_classes: int, seed: int
) -> tuple[Tokens, HeldOut | None]:
    """Return the patches that are fitted, and the images that choose lambda, if it is searched."""
    chance = np.random.default_rng(seed)
    train = images["train"]
    labels = labels_of(train.maps, train.grid, num_classes)
    if settings.lambda_ is not None:
        return tokens_of(train.array, labels, settings.patches, chance), None
    if "val" in images:
        held, of_held = images["val"], labels_of(images["val"].maps, train.grid, num_classes)
        share = len(held.maps) / (len(held.maps) + len(train.maps))
    else:
        rows = _held_out([each.unit for each in train.maps], settings.val_fraction, chance)
        held = Images(train.array[rows], [each for each, is_held in zip(train.maps, rows, strict=True) if is_held])
        of_held, share = labels[rows], settings.val_fraction
        labels = np.where(rows[:, None, None], UNLABELLED, labels)
    held_out = held_out_of(held, of_held, round(share * settings.patches), chance)
    most = max(1, settings.patches - len(held_out.tokens.labels))
    return tokens_of(train.array, labels, most, chance), held_out


def _held_out(units: Sequence[str], fraction: float, chance: np.random.Generator) -> np.ndarray:
    """Whether each image is held out: those of a share of the units, at least one and not all of them."""
    distinct = sorted(set(units))
    if len(distinct) < 2:
        raise IncompatibleError(
            f"lambda is chosen on images that are held out: got {len(distinct)} train image or scene, expected two "
            "(or a val split, or set lambda_)"
        )
    count = min(len(distinct) - 1, max(1, round(fraction * len(distinct))))
    chosen = set(chance.permutation(distinct)[:count].tolist())
    return np.array([unit in chosen for unit in units])


def _baseline(
    settings: SegLinearSettings, images: Mapping[str, Images], name: str, num_classes: int, inputs: Inputs
) -> dict[str, Any]:
    """Return the metrics of patches that hold one plain thing, and their intervals."""
    from mlcd_eval.metrics.table import measure

    chance = np.random.default_rng(inputs.seed)
    plain = {}
    for role, each in images.items():
        maps = each.maps
        if role != "test" and len(maps) > BASELINE_IMAGES:
            rows = np.sort(chance.choice(len(maps), BASELINE_IMAGES, replace=False))
            maps = [maps[row] for row in rows]
        plain[role] = Images(BASELINES[name](maps, each.grid), maps)
    columns, _ = _segmented(settings, plain, num_classes, inputs, boundaries=False)
    metrics = [measure(metric, columns, inputs.seed) for metric in ("miou", "pixel_accuracy")]
    return {metric.name: {"value": metric.value, "ci95": metric.ci95} for metric in metrics}
