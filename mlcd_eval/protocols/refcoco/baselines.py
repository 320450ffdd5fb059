"""What sentences score by a mask or box that ignores the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Expression, GeneralizedExpression
from mlcd_eval.metrics.boxes import box_ious, boxes_of
from mlcd_eval.metrics.segmentation import encode, overall_iou, overlaps

BOX_IOU = 0.5
"""From which IoU on a box counts as right (Mao et al. 2016, Yu et al. 2016)."""


def has_target(sentence: Expression) -> bool:
    """Whether a sentence refers to anything."""
    return sentence.has_target if isinstance(sentence, GeneralizedExpression) else True


def true_boxes(sentences: Sequence[Expression]) -> NDArray[np.float64]:
    """The annotated box of each sentence (N, 4), that of its mask where there is none."""
    of_masks = boxes_of([sentence.truth for sentence in sentences])
    boxes = [
        of_mask if sentence.box is None else sentence.box for sentence, of_mask in zip(sentences, of_masks, strict=True)
    ]
    return np.array(boxes, np.float64).reshape(-1, 4)


def blind_scores(train: Sequence[Expression], test: Sequence[Expression]) -> dict[str, dict[str, float | None]]:
    """Return for the record, under `baselines`, the overall IoU of the mean box of train's masks and of everything and,
    where sentences have one target each, under `box_baselines`, the box accuracy of the same."""
    mean, truths = _mean_box([sentence for sentence in train if has_target(sentence)]), [each.truth for each in test]
    found: dict[str, dict[str, float | None]] = {"baselines": {}}
    for name, share in (("mean_box", mean), ("all_foreground", (0.0, 0.0, 1.0, 1.0))):
        masks = [encode(_filled(share, sentence.size)) for sentence in test]
        found["baselines"][f"{name}_overall_iou"] = overall_iou(overlaps(masks, truths))
        if not any(isinstance(sentence, GeneralizedExpression) for sentence in test):
            right = box_ious(boxes_of(masks), true_boxes(test)) >= BOX_IOU
            found.setdefault("box_baselines", {})[f"{name}_box_accuracy@{BOX_IOU}"] = float(right.mean())
    return found


def _mean_box(sentences: Sequence[Expression]) -> tuple[float, float, float, float]:
    """Left, top, width and height as shares of the image's own."""
    from pycocotools import mask as coco

    shapes = np.array([[sentence.size[1], sentence.size[0]] * 2 for sentence in sentences], dtype=np.float64)
    x, y, w, h = (coco.toBbox([sentence.truth for sentence in sentences]) / shapes).mean(axis=0)
    return x, y, w, h


def _filled(share: tuple[float, float, float, float], size: tuple[int, int]) -> NDArray[Any]:
    """The mask of a box."""
    (x, y, w, h), (height, width) = share, size
    mask = np.zeros(size, dtype=bool)
    mask[round(y * height) : round((y + h) * height), round(x * width) : round((x + w) * width)] = True
    return mask
