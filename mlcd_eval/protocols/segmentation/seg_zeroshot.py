"""Zero-shot segmentation: each patch gets the class whose prompts are most like it in the joint space.

MaskCLIP (Zhou et al. 2022, section 3.2): patches are those of the last block without its attention
(encoders/value_patches.py), a class is the mean of its prompts as in zero-shot classification, and the cosines are
interpolated to the image's own pixels. Nothing is learned, and no mask is read but those that are scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from mlcd_eval.data.annotations import UNLABELLED, ClassMap
from mlcd_eval.encoders.base import PROJECTED_PATCHES, EncoderInfo
from mlcd_eval.encoders.layers import VALUE_PATCHES
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.base import ImageRequest, Inputs, Needs, Scores
from mlcd_eval.protocols.classification.zeroshot import class_vectors
from mlcd_eval.protocols.segmentation.protocol import SegmentationProtocol
from mlcd_eval.protocols.segmentation.scoring import (
    Columns,
    baseline_of,
    segmentation_scores,
)
from mlcd_eval.protocols.segmentation.tokens import Images
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.framed import FramedSettings
from mlcd_eval.protocols.shared.scored import of_kind, patches_of_one_split
from mlcd_eval.protocols.shared.unit import unit

if TYPE_CHECKING:
    from torch import Tensor

BACKGROUND = "background"


class SegZeroShotSettings(FramedSettings):
    """split: as in seg_linear. layer: whose patches are compared. background: whether a class of that name, which no
    caption says, is left out of classes and pixels (`ignored`, as in Pascal VOC's 20 classes), or is a prompt like any
    other. class_names, templates: as in zeroshot; `clip` means ImageNet's 80 templates for data without its own."""

    split: str | None = None
    layer: Literal["value_patches", "projected_patches"] = VALUE_PATCHES  # type: ignore[assignment]
    background: Literal["ignored", "prompt"] = "ignored"
    class_names: str | tuple[str, ...] | None = None
    templates: str | tuple[str, ...] | None = "clip"


class SegZeroShot(SegmentationProtocol[SegZeroShotSettings]):
    """Primary: miou. Details: the IoU of each class, and what is scored with the names of classes shuffled."""

    name = "seg_zeroshot"
    version = 1

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """Nothing is drawn."""
        return False

    def needs(self, settings: SegZeroShotSettings) -> Needs:
        """Return the need for a text tower and for class names with templates."""
        return Needs(texts=True, class_prompts=True, class_names=settings.class_names, templates=settings.templates)

    def for_model(self, settings: SegZeroShotSettings, info: EncoderInfo) -> SegZeroShotSettings:
        """Raise IncompatibleError for a model without patches in the space of its texts."""
        if not info.has_text:
            raise IncompatibleError(
                f"seg_zeroshot compares patches with texts: got model {info.spec!r}, which {info.no_text}"
            )
        if info.width_of(settings.layer) is None:
            other = " (it has projected_patches)" if info.width_of(PROJECTED_PATCHES) is not None else ""
            raise IncompatibleError(
                f"seg_zeroshot compares {settings.layer} with texts: got model {info.spec!r}, whose patches are not in "
                f"that space, expected a ViT whose class token is projected, such as CLIP's{other}"
            )
        return settings

    def requests(self, settings: SegZeroShotSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patches of the scored split."""
        return {"test": patches_of_one_split(self.name, settings.layer, settings.split, splits, settings.frame)}

    def score(self, settings: SegZeroShotSettings, inputs: Inputs) -> Scores:
        """Raises IncompatibleError without class names or templates, or for patches that are not in the space of the
        texts; DataError for features that are not finite."""
        if not inputs.class_names or not inputs.templates:
            raise IncompatibleError(
                "seg_zeroshot needs class names and templates: got none, expected `class_names` under `dataset:` in a "
                "task file, or --classnames"
            )
        if settings.background == "ignored":
            inputs = _without_background(inputs)
        classes = _class_directions(inputs)
        scores = segmentation_scores(
            inputs, partial(_matched, classes=classes), partial(_shuffled_names, classes=classes)
        )
        details = {
            "prompts": inputs.prompts_source,
            "num_classes": len(classes),
            "num_templates": len(inputs.templates or ()),
            "background": settings.background,
        }
        return replace(scores, details={**details, **scores.details})


def _without_background(inputs: Inputs) -> Inputs:
    """Leave the class `background` out of names and maps, if there is one; the others keep their order."""
    names = list(inputs.class_names or ())
    kept = [number for number, name in enumerate(names) if name.strip().lower() != BACKGROUND]
    if len(kept) == len(names):
        return inputs
    new = np.full(len(names) + 1, UNLABELLED, np.int16)  # whose last entry is that of UNLABELLED
    new[kept] = np.arange(len(kept))

    def fewer(each: ClassMap) -> ClassMap:
        return replace(each, pixels=lambda: new[each.pixels()])

    maps = {role: of_kind(of_role, ClassMap) for role, of_role in inputs.annotations.items()}
    annotations = {role: [fewer(each) for each in of_role] for role, of_role in maps.items()}
    return replace(inputs, class_names=[names[number] for number in kept], annotations=annotations)


def _class_directions(inputs: Inputs) -> Tensor:
    """Unit rows (C, D), each the mean of the unit vectors of a class's prompts."""
    import torch

    assert inputs.encode_texts is not None, "checked by for_model"
    names, templates = inputs.class_names or (), inputs.templates or ()
    prompts = [template.replace("{c}", name) for template in templates for name in names]
    row = {text: number for number, text in enumerate(dict.fromkeys(prompts))}
    texts = inputs.encode_texts(list(row))
    check_finite(texts, "features of texts", list(row))
    vectors = unit(torch.from_numpy(np.asarray(texts, np.float32)[[row[text] for text in prompts]]))
    return class_vectors(vectors.to(inputs.device), len(templates))


def _matched(
    images: Mapping[str, Images], num_classes: int, inputs: Inputs, boundaries: bool, classes: Tensor
) -> tuple[Columns, dict[str, Any]]:
    from mlcd_eval.protocols.segmentation.maps import overlaps_of

    test = images["test"]
    if test.array.shape[-1] != classes.shape[1]:
        raise IncompatibleError(
            f"patches and texts are not in one space: got {test.array.shape[-1]} and {classes.shape[1]} dimensions, "
            "expected the same number"
        )

    def cosines(patches: Tensor) -> Tensor:
        return unit(patches.flatten(0, 1)).unflatten(0, patches.shape[:2]) @ classes.T

    with inputs.stage("classes of pixels", len(test.annotations), "images") as advance:
        columns = overlaps_of(test, cosines, num_classes, inputs, advance, boundaries)
    return columns, {"num_images": len(test.annotations)}


def _shuffled_names(images: Mapping[str, Images], num_classes: int, inputs: Inputs, classes: Tensor) -> dict[str, Any]:
    """Return what is scored where each class has the prompts of the next one: what place and shape alone are worth."""
    columns, _ = _matched(images, num_classes, inputs, False, classes.roll(1, dims=0))
    return {"shuffled_names": baseline_of(columns, inputs.seed)}
