"""Referring-expression segmentation on the RefCOCO family: overall IoU of the mask that a sentence describes.

There are three ways to get a mask: `native`, the model's own; `probe`, a light head trained on the frozen encoder's
patch features (mask_head.py); `zeroshot`, the similarity of patches and text with a threshold chosen on train
(mask_similarity.py). A bare encoder sees the whole image (letterboxed), not a crop. Sources of the metrics: LAVT (Yang
et al. 2022) and LISA (Lai et al. 2024); for gRefCOCO, whose sentences may refer to several parts or to none, GRES (Liu
et al. 2023; ReLA's gres_model/evaluation/refer_evaluation.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from mlcd_eval.data.annotations import Annotation, Expression, GeneralizedExpression
from mlcd_eval.data.predictions import read_masks
from mlcd_eval.encoders.base import PATCHES, PROJECTED_PATCHES, EncoderInfo
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Control, Elsewhere, ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.refcoco.baselines import BOX_IOU, blind_scores, has_target, true_boxes
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.framed import FramedSettings
from mlcd_eval.protocols.shared.patches import patches_of

if TYPE_CHECKING:
    import torch

CONTROL_STEPS = 100  # of the controls' probe
PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.9)
TARGET_PRECISIONS = (0.7, 0.8, 0.9)
"""The thresholds of gRefCOCO's evaluation, over sentences with a target."""


class RefcocoSettings(FramedSettings):
    """split: the scored split; None means the only one besides train. mode: `auto` means the model's own masks if it
    makes masks, else the probe. empty_union: the IoU of a sample whose mask and truth are both empty, 1 (lisa) or 0
    (lavt); for a sentence that refers to nothing it is always 1. text_encoder: spec of a model whose text tower is used
    for a vision-only model. steps: of probe training.
    """

    squares_only = True

    split: str | None = None
    mode: Literal["auto", "native", "probe", "zeroshot"] = "auto"
    empty_union: Literal["lisa", "lavt"] = "lisa"
    text_encoder: str | None = None
    steps: int = Field(default=1000, ge=1)


ELSEWHERE = Elsewhere(
    tasks=("Instance Segmentation", "Referring Expression Segmentation"), hub_task="image-segmentation"
)


class Refcoco(Protocol[RefcocoSettings]):
    """Primary: overall_iou (cIoU); for sentences that may refer to nothing mean_iou (gIoU), since overall_iou leaves
    out those of them that are answered rightly. With a probe or zero-shot, details hold two baselines: the mean box of
    train's truths, and the whole image. Where each sentence has one target, the box of a mask, of one made from
    features that of its largest connected part, is compared with the annotated one too.

    A model says that there is nothing by a mask without a pixel. Masks are taken as they are: where ReLA drops those of
    fewer than 50 pixels, the maker of the masks must have done so.
    """

    name = "refcoco"
    version = 3
    kinds = ("refer",)
    takes_predictions = True
    elsewhere = ELSEWHERE
    picture_side = 320
    usual_settings = (("mode", "native"),)

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """A probe is trained."""
        return settings.get("mode") == "probe"

    def needs(self, settings: RefcocoSettings) -> Needs:
        """Return the ability `segment` for a model's own masks, and the text encoder of a vision-only model."""
        return Needs(text_encoder=settings.text_encoder, ability="segment" if settings.mode == "native" else None)

    def requests(self, settings: RefcocoSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patch features of train and of the scored split; none for a model's own masks."""
        scored = self.scored_split(settings, splits)
        if settings.mode == "native":
            return {}
        if "train" not in splits or scored == "train":
            raise IncompatibleError(
                f"refcoco's {settings.mode} learns from train and is scored on another split: got {', '.join(splits)}"
            )
        layer = PROJECTED_PATCHES if settings.mode == "zeroshot" else PATCHES
        return {
            "train": ImageRequest("train", layer, letterbox=True, frame=settings.frame),
            "test": ImageRequest(scored, layer, letterbox=True, frame=settings.frame),
        }

    def scored_split(self, settings: RefcocoSettings, splits: Sequence[str]) -> str:
        """Return the scored split. Raises IncompatibleError if it is missing, or if it is not set and not unique."""
        if settings.split is not None and settings.split not in splits:
            raise IncompatibleError(f"refcoco reads the split {settings.split!r}: got {', '.join(splits)}")
        others = [split for split in splits if split != "train"]
        if settings.split is None and len(others) != 1:
            raise IncompatibleError(
                f"refcoco scores one split: got {', '.join(splits)}, expected settings.split, or the split at the end "
                f"of the path (refer:ROOT/NAME/splitBy/split)"
            )
        return settings.split or others[0]

    def for_model(self, settings: RefcocoSettings, info: EncoderInfo) -> RefcocoSettings:
        """Decide `auto`. Raises IncompatibleError for a mode that the model does not support."""
        mode = settings.mode
        if mode == "auto":
            mode = "native" if "segment" in info.abilities else "probe"
        if mode == "native" and "segment" not in info.abilities:
            raise IncompatibleError(f"refcoco's mode is native: got model {info.spec!r}, which makes no masks")
        if mode == "native":
            settings.refuse_for_own_outputs(self.name, info)
        if mode == "zeroshot" and settings.text_encoder is not None:
            raise IncompatibleError(
                "refcoco's mode is zeroshot: got text_encoder, expected none, since its space is not the model's"
            )
        if mode != "native" and not info.has_text and (mode == "zeroshot" or settings.text_encoder is None):
            raise IncompatibleError(
                f"refcoco's {mode} needs a text tower: got model {info.spec!r}, which {info.no_text}"
                + (" (set settings.text_encoder to a model with one)" if mode == "probe" else "")
            )
        return settings.model_copy(update={"mode": mode})

    def for_predictions(self, settings: RefcocoSettings) -> RefcocoSettings:
        """Return the settings of a model's own masks, as which saved masks are scored."""
        return settings.model_copy(update={"mode": "native"})

    def read_predictions(self, path: Path, annotations: Sequence[Annotation]) -> Mapping[Any, Any]:
        """Read sent_id -> RLE."""
        return read_masks(path, _sentences(annotations))

    def score(self, settings: RefcocoSettings, inputs: Inputs) -> Scores:
        """From predictions {sent_id: RLE} where there are some, else from features."""
        truths = _expressions(inputs, "test")
        details: dict[str, Any] = {"mode": settings.mode, "empty_union": settings.empty_union}
        if inputs.predictions is not None:
            masks: list[Mapping[str, Any]] = [inputs.predictions[truth.sent_id] for truth in truths]
        else:
            from_features, more = _from_features(settings, inputs)
            with inputs.stage("masks", len(truths), "masks") as advance:
                masks = []
                for mask in from_features:
                    masks.append(mask)
                    advance(1)
            details |= more
        return _scores(settings, truths, masks, details, inputs)

    def controls(self, settings: RefcocoSettings, inputs: Inputs) -> list[Control]:
        """Of masks from features, after at most CONTROL_STEPS."""
        if settings.mode == "native":
            return []
        from mlcd_eval.protocols.refcoco.controls import mask_controls

        fewer = settings.model_copy(update={"steps": min(settings.steps, CONTROL_STEPS)})
        return mask_controls(self, fewer, inputs, settings.mode)


def _expressions(inputs: Inputs, role: str) -> list[Expression]:
    expressions = _sentences(inputs.annotations[role])
    if not expressions:
        raise DataError(f"the {role} split has no sentences: got 0, expected at least 1")
    return expressions


def _sentences(annotations: Sequence[Annotation]) -> list[Expression]:
    return [expression for expression in annotations if isinstance(expression, Expression)]


def _from_features(settings: RefcocoSettings, inputs: Inputs) -> tuple[Iterator[dict[str, Any]], dict[str, Any]]:
    from mlcd_eval.metrics.segmentation import encode
    from mlcd_eval.protocols.refcoco import mask_head, mask_similarity
    from mlcd_eval.protocols.refcoco.square import from_square

    train, test = (_expressions(inputs, role) for role in ("train", "test"))
    train_rows, test_rows = _rows(inputs, "train", train), _rows(inputs, "test", test)

    targets = _Targets(train)
    if settings.mode == "zeroshot":
        with inputs.stage("choosing the threshold", len(train), "sentences") as advance:
            sizes = [sentence.size for sentence in train]
            similarity = mask_similarity.learn_similarity(train_rows, targets, sizes, advance)
        scores = similarity.scores(test_rows, len(test))
        details: dict[str, Any] = {
            "recipe": mask_similarity.RECIPE,
            "threshold": similarity.threshold,
            "inside": "above" if similarity.sign > 0 else "below",
        }
    else:
        with inputs.stage("training the probe", settings.steps, "steps") as advance:
            head = mask_head.train_head(
                train_rows, targets, len(train), settings.steps, inputs.seed, inputs.device, advance
            )
        scores = mask_head.predict(head, test_rows, len(test))
        details = {"recipe": mask_head.RECIPE, "text_encoder": settings.text_encoder or "the model's own"}
    details |= {"num_train": len(train), **blind_scores(train, test)}
    masks = (encode(from_square(score, sentence.size)) for score, sentence in zip(scores, test, strict=True))
    return masks, details


class _Targets:
    """Sentence numbers and a side -> (B, side, side) true masks on the square, in [0, 1]. Each is decoded once."""

    def __init__(self, expressions: Sequence[Expression]) -> None:
        self._expressions = expressions
        self._cells: dict[int, np.ndarray] = {}  # as bytes: 4 kB per sentence for a side of 64

    def __call__(self, index: np.ndarray, side: int) -> torch.Tensor:
        import torch

        from mlcd_eval.protocols.refcoco.square import to_square

        new = [number for number in index.tolist() if number not in self._cells]
        for number, cells in zip(
            new, to_square([self._expressions[number].truth for number in new], side), strict=True
        ):
            self._cells[number] = (255 * cells).round().byte().numpy()
        return torch.from_numpy(np.stack([self._cells[number] for number in index.tolist()])).float() / 255


def _rows(inputs: Inputs, role: str, expressions: Sequence[Expression]) -> Callable[[np.ndarray], Any]:
    """Return a function from sentence numbers to patches (B, h, w, D) and unit text features (B, T), on the device."""
    import torch

    from mlcd_eval.support.resident import Rows

    patches = patches_of(inputs.images[role], expressions, role, inputs.device)
    assert inputs.encode_texts is not None, "checked by for_model"
    texts = inputs.encode_texts([sentence.text for sentence in expressions])
    check_finite(texts, f"text features of {role}", [sentence.text for sentence in expressions])
    unit_texts = Rows(texts, inputs.device, lambda rows: torch.nn.functional.normalize(rows, dim=1))
    return lambda index: (patches(index), unit_texts[index])


def _scores(
    settings: RefcocoSettings,
    truths: Sequence[Expression],
    masks: Sequence[Mapping[str, Any]],
    details: dict[str, Any],
    inputs: Inputs,
) -> Scores:
    from mlcd_eval.metrics.boxes import BOXES, box_ious, boxes_of, boxes_of_largest
    from mlcd_eval.metrics.segmentation import is_empty, overlaps, sample_iou
    from mlcd_eval.metrics.table import GENERALIZED, REFER, measure

    pixels = overlaps(masks, [truth.truth for truth in truths])
    refers = np.array([has_target(truth) for truth in truths])
    samples: dict[str, Sequence[Any]] = {
        "key": [truth.sent_id for truth in truths],
        "image": [truth.image for truth in truths],
        "expression": [truth.text for truth in truths],
        "intersection": pixels.intersection.tolist(),
        "union": pixels.union.tolist(),
        "iou": sample_iou(pixels, settings.empty_union, refers).tolist(),
        "prediction": [dict(mask) for mask in masks],
        "truth": [truth.truth for truth in truths],
    }
    is_generalized = isinstance(truths[0], GeneralizedExpression)
    if is_generalized:
        samples |= {"has_target": refers.tolist(), "predicts_target": (~is_empty(masks)).tolist()}
        names = [*REFER, *GENERALIZED, *(f"target_precision@{least}" for least in TARGET_PRECISIONS)]
    else:
        boxes = (boxes_of if settings.mode == "native" else boxes_of_largest)(masks)
        samples["box_iou"] = box_ious(boxes, true_boxes(truths)).tolist()
        names = [*REFER, *(f"precision@{least}" for least in PRECISIONS), f"box_accuracy@{BOX_IOU}", *BOXES]
    return Scores(
        metrics=[measure(name, samples, inputs.seed) for name in names],
        primary="mean_iou" if is_generalized else "overall_iou",
        samples=samples,
        details={**details, "num_images": len(set(samples["image"]))},
    )
