"""Linear segmentation of frozen patch features: a multinomial logistic regression on patches, exact and in seconds.

Each patch of the train images learns the most frequent class of its pixels (tokens.py). A test image's scores are
interpolated from its patches to its own pixels, and each pixel gets the best class; padding is never learned from or
scored. The encoder sees whole images (letterboxed). The layer is the linear one of DINOv2's and DINOv3's evaluation,
which train it by gradient steps on the pixels of crops; here it minimises the loss of patches, by linear_probe's
solver. The dialects `dinov3` and `radio` train it by gradient steps as these papers do (recipe.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mlcd_eval.data.annotations import UNLABELLED
from mlcd_eval.protocols.base import Control, ImageRequest, Inputs, Scores
from mlcd_eval.protocols.dialects import ProtocolDialect
from mlcd_eval.protocols.segmentation.protocol import SegmentationProtocol
from mlcd_eval.protocols.segmentation.recipe_settings import RecipeSettings
from mlcd_eval.protocols.segmentation.scoring import Columns, plain_baselines, segmentation_scores
from mlcd_eval.protocols.segmentation.tokens import (
    HeldOut,
    Images,
    Tokens,
    held_out_of,
    labels_of,
    tokens_of,
)
from mlcd_eval.protocols.shared.framed import FramedSettings
from mlcd_eval.protocols.shared.held_out import held_out_rows
from mlcd_eval.protocols.shared.pixels import FINE
from mlcd_eval.protocols.shared.scored import patch_requests


class SegLinearSettings(FramedSettings):
    """split: the scored split, by default test, or val where there is no test. layer: whose patches are classified.

    patches: train patches that are fitted, at most; of more of them as many are drawn. lambda_: fixed, in place of the
    search, which is on the val split, or where that is missing or scored on val_fraction of train's units (scenes,
    else images). max_iter, tolerance: of the last fit, as in linear_probe. sgd: gradient steps on pixels of train in
    place of all that; nothing is searched.
    """

    split: str | None = None
    layer: Literal["patches", "projected_patches"] = "patches"
    patches: PositiveInt = 500_000
    lambda_: PositiveFloat | None = None
    val_fraction: float = Field(default=0.2, gt=0, lt=1)
    max_iter: PositiveInt = 1000
    tolerance: PositiveFloat = 1e-5
    sgd: RecipeSettings | None = None

    @model_validator(mode="after")
    def _one_way(self) -> SegLinearSettings:
        if self.sgd is not None and self.lambda_ is not None:
            raise ValueError("expected at most one of lambda_ and sgd, got both")
        if self.sgd is not None and self.frame is not None and not self.frame.is_square:
            raise ValueError(f"expected a square as resolution of sgd, got {self.resolution}")
        return self


_UNLIKE = (
    "Features of whole letterboxed images are kept: no crops, flips, scales or colours; the square's side is "
    "the model's own, seen at once, unless `resolution` and `window` are set"
)
DIALECTS = {
    "dinov3": ProtocolDialect(
        {"sgd": RecipeSettings()},
        "DINOv3, dinov3/eval/segmentation/configs/config-ade20k-linear-training.yaml at 6876159",
        f"{_UNLIKE} (theirs: 512 pixels).",
        explains=False,
    ),
    "radio": ProtocolDialect(
        {"sgd": RecipeSettings(schedule="linear", steps=80_000, weight_decay=0.0, dropout=0.0)},
        "RADIO, mmseg/configs/radio/radio_linear_8xb2-80k_ade20k-512x512.py of NVlabs/RADIO at c0f3701",
        f"{_UNLIKE} (theirs: 518 pixels).",
        explains=False,
    ),
}
CONTROL_STEPS = 300  # of the controls' recipe


class SegLinear(SegmentationProtocol[SegLinearSettings]):
    """Primary: miou. Details: the IoU of each class, and what patches score that hold only their place or colour."""

    name = "seg_linear"
    version = 1
    dialects = DIALECTS

    def requests(self, settings: SegLinearSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patches of train, of val if lambda is chosen on it, and of the scored split."""
        searches = settings.lambda_ is None and settings.sgd is None
        return patch_requests(self.name, settings.layer, settings.split, splits, searches, settings.frame)

    def score(self, settings: SegLinearSettings, inputs: Inputs) -> Scores:
        """Raises DataError for features that are not finite, and IncompatibleError where train has one class."""
        if settings.sgd is None:
            return segmentation_scores(inputs, partial(_segmented, settings))
        exact = partial(_segmented, settings.model_copy(update={"sgd": None}))  # baselines take seconds
        return segmentation_scores(inputs, partial(_trained, settings.sgd), partial(plain_baselines, segment=exact))

    def controls(self, settings: SegLinearSettings, inputs: Inputs) -> list[Control]:
        """Of patches that hold the shares of their classes, after at most CONTROL_STEPS."""
        fewer = settings.sgd and settings.sgd.at_most(CONTROL_STEPS)
        return super().controls(settings.model_copy(update={"sgd": fewer}), inputs)


def _segmented(
    settings: SegLinearSettings, images: Mapping[str, Images], num_classes: int, inputs: Inputs, boundaries: bool
) -> tuple[Columns, dict[str, Any]]:
    """Return the columns of the test images, and how they were made."""
    from mlcd_eval.protocols.segmentation.maps import linear, overlaps_of
    from mlcd_eval.protocols.segmentation.token_classifier import FITS, Regularisation, fit_tokens

    fitted, held_out = _tokens(settings, images, num_classes, inputs.seed)
    how = Regularisation(settings.lambda_, settings.max_iter, settings.tolerance)
    with inputs.stage("fits of the classifier", 1 if held_out is None else FITS, "fits") as advance:
        fit, details = fit_tokens(fitted, held_out, num_classes, how, inputs.device, advance)
    del fitted, held_out
    test = images["test"]
    with inputs.stage("classes of pixels", len(test.annotations), "images") as advance:
        scores = linear(fit.weight, fit.bias)
        columns = overlaps_of(test, scores, num_classes, inputs, advance, boundaries)
    return columns, details


def _trained(
    recipe: RecipeSettings, images: Mapping[str, Images], num_classes: int, inputs: Inputs, boundaries: bool
) -> tuple[Columns, dict[str, Any]]:
    """As `_segmented`, by gradient steps."""
    from mlcd_eval.protocols.segmentation.maps import linear, overlaps_of
    from mlcd_eval.protocols.segmentation.recipe import train_layer

    train, test = images["train"], images["test"]
    side = inputs.image_side or FINE * max(train.grid)
    with inputs.stage("steps of the layer", recipe.steps, "steps") as advance:
        weight, bias, details = train_layer(recipe, train, num_classes, side, inputs.seed, inputs.device, advance)
    with inputs.stage("classes of pixels", len(test.annotations), "images") as advance:
        columns = overlaps_of(test, linear(weight, bias), num_classes, inputs, advance, boundaries)
    return columns, details


def _tokens(
    settings: SegLinearSettings, images: Mapping[str, Images], num_classes: int, seed: int
) -> tuple[Tokens, HeldOut | None]:
    """Return the patches that are fitted, and the images that choose lambda, if it is searched."""
    chance = np.random.default_rng(seed)
    train = images["train"]
    labels = labels_of(train.annotations, train.layout, num_classes)
    if settings.lambda_ is not None:
        return tokens_of(train.array, labels, settings.patches, chance), None
    if "val" in images:
        held, of_held, among = images["val"], labels_of(images["val"].annotations, train.layout, num_classes), None
        share = len(held.annotations) / (len(held.annotations) + len(train.annotations))
    else:
        is_held = held_out_rows([each.unit for each in train.annotations], settings.val_fraction, chance)
        held, of_held, among, share = train, labels, np.flatnonzero(is_held), settings.val_fraction
        labels = np.where(is_held[:, None, None], UNLABELLED, labels)
    held_out = held_out_of(held, of_held, round(share * settings.patches), chance, among)
    most = max(1, settings.patches - len(held_out.tokens.labels))
    return tokens_of(train.array, labels, most, chance), held_out
