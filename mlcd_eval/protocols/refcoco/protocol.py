"""Referring-expression segmentation on the RefCOCO family: overall IoU of the mask that a sentence describes.

There are three ways to get a mask: `native`, the model's own; `probe`, a light head trained on the frozen encoder's
patch features (mask_head.py); `zeroshot`, the similarity of patches and text with a threshold chosen on train
(mask_similarity.py). A bare encoder sees the whole image (letterboxed), not a crop. Sources of the metrics: LAVT (Yang
et al. 2022) and LISA (Lai et al. 2024).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mlcd_eval.data.base import Annotation, Expression
from mlcd_eval.data.predictions import read_masks
from mlcd_eval.encoders.base import PATCHES, PROJECTED_PATCHES, EncoderInfo
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.protocols.shared.patches import patches_of

if TYPE_CHECKING:
    import torch

PRECISIONS = (0.5, 0.6, 0.7, 0.8, 0.9)


class RefcocoSettings(BaseModel):
    """split: the scored split; None means the only one besides train. mode: `auto` means the model's own masks if it
    makes masks, else the probe. empty_union: the IoU of a sample whose mask and truth are both empty, 1 (lisa) or 0
    (lavt). text_encoder: spec of a model whose text tower is used for a vision-only model. steps: of probe training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: str | None = None
    mode: Literal["auto", "native", "probe", "zeroshot"] = "auto"
    empty_union: Literal["lisa", "lavt"] = "lisa"
    text_encoder: str | None = None
    steps: int = Field(default=1000, ge=1)


class Refcoco(Protocol[RefcocoSettings]):
    """The primary metric is overall_iou. The details of probe and zeroshot include its value for two baselines: the
    mean box of train's masks, and the whole image."""

    name = "refcoco"
    version = 2
    Settings = RefcocoSettings
    kinds = ("refer",)
    takes_predictions = True
    pwc_tasks = ("Instance Segmentation", "Referring Expression Segmentation")  # the site has both for each split
    hub_task_type = "image-segmentation"
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
            "train": ImageRequest("train", layer, letterbox=True),
            "test": ImageRequest(scored, layer, letterbox=True),
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
            made, more = _from_features(settings, inputs)
            masks, details = list(made), details | more
        return _scores(settings, truths, masks, details, inputs)


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
        sizes = [expression.size for expression in train]
        similarity = mask_similarity.learn_similarity(train_rows, targets, sizes)
        scores = similarity.scores(test_rows, len(test))
        details: dict[str, Any] = {
            "recipe": mask_similarity.RECIPE,
            "threshold": similarity.threshold,
            "inside": "above" if similarity.sign > 0 else "below",
        }
    else:
        head = mask_head.train_head(train_rows, targets, len(train), settings.steps, inputs.seed, inputs.device)
        scores = mask_head.predict(head, test_rows, len(test), inputs.device)
        details = {"recipe": mask_head.RECIPE, "text_encoder": settings.text_encoder or "the model's own"}
    details |= {"num_train": len(train), "baselines": _baselines(train, test)}
    masks = (encode(from_square(cells, expression.size)) for cells, expression in zip(scores, test, strict=True))
    return masks, details


class _Targets:
    """Sentence numbers and a side -> (B, side, side) true masks on the square, in [0, 1]. Each is decoded once."""

    def __init__(self, expressions: Sequence[Expression]) -> None:
        self._expressions = expressions
        self._decoded: dict[int, np.ndarray] = {}  # as bytes: 4 kB per sentence for a side of 64

    def __call__(self, index: np.ndarray, side: int) -> torch.Tensor:
        import torch

        from mlcd_eval.protocols.refcoco.square import to_square

        new = [number for number in index.tolist() if number not in self._decoded]
        squares = to_square([self._expressions[number].truth for number in new], side)
        for number, cells in zip(new, squares, strict=True):
            self._decoded[number] = (255 * cells).round().byte().numpy()
        return torch.from_numpy(np.stack([self._decoded[number] for number in index.tolist()])).float() / 255


def _rows(inputs: Inputs, role: str, expressions: Sequence[Expression]) -> Callable[[np.ndarray], Any]:
    """Return a function from sentence numbers to patches (B, h, w, D) and unit text features (B, T)."""
    import torch

    patches = patches_of(inputs.images[role], expressions, role)
    assert inputs.encode_texts is not None, "checked by for_model"
    sentences = [expression.text for expression in expressions]
    texts = inputs.encode_texts(sentences)
    check_finite(texts, f"text features of {role}", sentences)

    def rows(index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return patches(index), torch.nn.functional.normalize(
            torch.from_numpy(np.ascontiguousarray(texts[index])), dim=1
        )

    return rows


def _baselines(train: Sequence[Expression], test: Sequence[Expression]) -> dict[str, float | None]:
    """Return overall_iou of two masks that ignore the image: the mean box of train's masks, and everything."""
    from pycocotools import mask as coco

    from mlcd_eval.metrics.segmentation import encode, overall_iou, overlaps

    shapes = np.array([[expression.size[1], expression.size[0]] * 2 for expression in train], dtype=np.float64)
    x, y, w, h = (coco.toBbox([expression.truth for expression in train]) / shapes).mean(axis=0)
    boxes, full = [], []
    for expression in test:
        height, width = expression.size
        box = np.zeros(expression.size, dtype=bool)
        box[round(y * height) : round((y + h) * height), round(x * width) : round((x + w) * width)] = True
        boxes.append(encode(box))
        full.append(encode(np.ones(expression.size, dtype=bool)))
    truths = [expression.truth for expression in test]
    return {
        "mean_box_overall_iou": overall_iou(overlaps(boxes, truths)),
        "all_foreground_overall_iou": overall_iou(overlaps(full, truths)),
    }


def _scores(
    settings: RefcocoSettings,
    truths: Sequence[Expression],
    masks: Sequence[Mapping[str, Any]],
    details: dict[str, Any],
    inputs: Inputs,
) -> Scores:
    from mlcd_eval.metrics.segmentation import overlaps, sample_iou
    from mlcd_eval.metrics.table import REFER, measure

    pixels = overlaps(masks, [truth.truth for truth in truths])
    samples = {
        "key": [truth.sent_id for truth in truths],
        "image": [truth.image for truth in truths],
        "expression": [truth.text for truth in truths],
        "intersection": pixels.intersection.tolist(),
        "union": pixels.union.tolist(),
        "iou": sample_iou(pixels, settings.empty_union).tolist(),
        "prediction": [dict(mask) for mask in masks],
        "truth": [truth.truth for truth in truths],
    }
    names = [*REFER, *(f"precision@{least}" for least in PRECISIONS)]
    return Scores(
        metrics=[measure(name, samples, inputs.seed) for name in names],
        primary="overall_iou",
        samples=samples,
        details={**details, "num_images": len(set(samples["image"]))},
    )
