"""Referring-expression segmentation on the RefCOCO family: overall IoU of the mask that a sentence asks for.

Three ways to a mask: `native`, the model's own; `probe`, a light head trained on the frozen encoder's patch features
(mask_head.py); `zeroshot`, similarity of patches and text, cut where train says (mask_similarity.py). A bare encoder's
image is shown whole (letterboxed), not cropped. Sources: LAVT (Yang et al. 2022) and LISA (Lai et al. 2024) for the
metrics.
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
    """split: that is scored; None for the only one beside train. mode: `auto` is the model's own masks where it makes
    some, else the probe. empty_union: what a sample counts whose mask and truth are both empty, 1 (lisa) or 0 (lavt).
    text_encoder: spec of a model whose text tower serves a vision-only one. steps: of the probe's training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: str | None = None
    mode: Literal["auto", "native", "probe", "zeroshot"] = "auto"
    empty_union: Literal["lisa", "lavt"] = "lisa"
    text_encoder: str | None = None
    steps: int = Field(default=1000, ge=1)


class Refcoco(Protocol[RefcocoSettings]):
    """Primary: overall_iou. With a probe or zero-shot two baselines stand beside it: the mean box of train's truths,
    and the whole image."""

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
        """A model's own masks come from its `segment`; a vision-only model's probe takes another's text tower."""
        return Needs(text_encoder=settings.text_encoder, ability="segment" if settings.mode == "native" else None)

    def requests(self, settings: RefcocoSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Patch features of train and of the scored split; none for a model's own masks."""
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
        """Raises IncompatibleError where it is missing, or not said and not clear."""
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
        """Resolve `auto`; raises IncompatibleError for a mode that the model cannot serve."""
        mode = settings.mode
        if mode == "auto":
            mode = "native" if "segment" in info.abilities else "probe"
        if mode == "native" and "segment" not in info.abilities:
            raise IncompatibleError(f"refcoco's mode is native: got model {info.spec!r}, which makes no masks")
        if mode == "zeroshot" and settings.text_encoder is not None:
            raise IncompatibleError("refcoco's mode is zeroshot: expected no text_encoder, since spaces differ")
        if mode != "native" and not info.has_text and (mode == "zeroshot" or settings.text_encoder is None):
            raise IncompatibleError(
                f"refcoco's {mode} needs a text tower: got model {info.spec!r}, which {info.no_text}"
                + (" (set settings.text_encoder to a model with one)" if mode == "probe" else "")
            )
        return settings.model_copy(update={"mode": mode})

    def for_predictions(self, settings: RefcocoSettings) -> RefcocoSettings:
        """Saved masks are scored as a model's own."""
        return settings.model_copy(update={"mode": "native"})

    def read_predictions(self, path: Path, annotations: Sequence[Annotation]) -> Mapping[Any, Any]:
        """sent_id -> RLE."""
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
    train_rows, test_rows = (_rows(inputs, role, found) for role, found in (("train", train), ("test", test)))

    targets = _Targets(train)
    if settings.mode == "zeroshot":
        similarity = mask_similarity.learn_similarity(train_rows, targets, [one.size for one in train])
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
    return (encode(from_square(one, t.size)) for one, t in zip(scores, test, strict=True)), details


class _Targets:
    """Sentence numbers and a side -> (B, side, side) truths on the square, in [0, 1]; each is decoded once."""

    def __init__(self, expressions: Sequence[Expression]) -> None:
        self._expressions = expressions
        self._made: dict[int, np.ndarray] = {}  # as bytes: 4 kB a sentence for a side of 64

    def __call__(self, index: np.ndarray, side: int) -> torch.Tensor:
        import torch

        from mlcd_eval.protocols.refcoco.square import to_square

        new = [number for number in index.tolist() if number not in self._made]
        for number, cells in zip(
            new, to_square([self._expressions[number].truth for number in new], side), strict=True
        ):
            self._made[number] = (255 * cells).round().byte().numpy()
        return torch.from_numpy(np.stack([self._made[number] for number in index.tolist()])).float() / 255


def _rows(inputs: Inputs, role: str, expressions: Sequence[Expression]) -> Callable[[np.ndarray], Any]:
    """Sentence numbers -> patches (B, h, w, D) and unit text features (B, T)."""
    import torch

    patches = patches_of(inputs.images[role], expressions, role)
    assert inputs.encode_texts is not None, "checked by for_model"
    texts = inputs.encode_texts([one.text for one in expressions])
    check_finite(texts, f"text features of {role}", [one.text for one in expressions])

    def rows(index: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return patches(index), torch.nn.functional.normalize(
            torch.from_numpy(np.ascontiguousarray(texts[index])), dim=1
        )

    return rows


def _baselines(train: Sequence[Expression], test: Sequence[Expression]) -> dict[str, float | None]:
    """overall_iou without a look at the image: the mean box of train's truths, and everything."""
    from pycocotools import mask as coco

    from mlcd_eval.metrics.segmentation import encode, overall_iou, overlaps

    truths = [one.truth for one in train]
    shapes = np.array([[one.size[1], one.size[0]] * 2 for one in train], dtype=np.float64)
    x, y, w, h = (coco.toBbox(truths) / shapes).mean(axis=0)
    boxes, whole = [], []
    for one in test:
        height, width = one.size
        box = np.zeros(one.size, dtype=bool)
        box[round(y * height) : round((y + h) * height), round(x * width) : round((x + w) * width)] = True
        boxes.append(encode(box))
        whole.append(encode(np.ones(one.size, dtype=bool)))
    own = [one.truth for one in test]
    return {
        "mean_box_overall_iou": overall_iou(overlaps(boxes, own)),
        "all_foreground_overall_iou": overall_iou(overlaps(whole, own)),
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
