"""Referring-expression comprehension: boxes of what sentences refer to, and the field's metrics.

A box is left, top, right and bottom in pixels, on edges of pixels: one of a single pixel has an area of 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.segmentation import Rle
from mlcd_eval.metrics.statistics import Columns, Mean, column


def box_ious(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """(N,) intersection over union of boxes (N, 4) and (N, 4), 0 where both are empty (torchvision's box_iou, where it
    is defined)."""
    low, high = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    both = np.clip(high - low, 0, None).prod(axis=1)
    either = sum(np.clip(box[:, 2:] - box[:, :2], 0, None).prod(axis=1) for box in (first, second)) - both
    shares: NDArray[np.float64] = both / np.where(either > 0, either, 1)
    return shares


def boxes_of(masks: Sequence[Rle]) -> NDArray[np.float64]:
    """(N, 4): the smallest box around each mask; of an empty one four zeros."""
    from pycocotools import mask as coco

    sides = coco.toBbox([dict(mask) for mask in masks]).reshape(-1, 4)
    return np.concatenate([sides[:, :2], sides[:, :2] + sides[:, 2:]], axis=1)


def boxes_of_largest(masks: Sequence[Rle]) -> NDArray[np.float64]:
    """(N, 4): the smallest box around the largest connected part of each mask, corners connecting; the first of equally
    large ones in the order of rows."""
    from pycocotools import mask as coco
    from scipy import ndimage

    boxes = np.zeros((len(masks), 4))
    for row, mask in enumerate(masks):
        part, count = ndimage.label(coco.decode(dict(mask)), np.ones((3, 3)))
        if count:
            largest = int(np.bincount(part.ravel())[1:].argmax())
            down, along = ndimage.find_objects(part)[largest]
            boxes[row] = along.start, down.start, along.stop, down.stop
    return boxes


def _at_least(iou: str) -> Callable[[Columns], NDArray[Any]]:
    return lambda columns: (np.asarray(columns["box_iou"]) >= float(iou)) * 1.0


BOXES: Mapping[str, MetricKind] = {"mean_box_iou": MetricKind("mean box IoU", Mean(column("box_iou")), over="image")}
BOX_FAMILIES: Mapping[str, Callable[[str], MetricKind]] = {
    "box_accuracy@": lambda least: MetricKind(f"box accuracy@{least}", Mean(_at_least(least)), over="image")
}
"""Columns: image and box_iou."""
