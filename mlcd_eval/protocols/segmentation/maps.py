"""From scores of patches to classes of an image's own pixels, and what they share with the true classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.storage.class_png import as_png
from mlcd_eval.metrics.dense import boundary_overlaps, class_overlaps
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.segmentation.tokens import Images
from mlcd_eval.protocols.shared.pixels import image_weights
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BAND = 1 << 25  # scores of pixels held at a time
LOWEST = -1e30  # in place of minus infinity, which has no place between two patches
Scores = Callable[["Tensor"], "Tensor"]
"""Patches (h, w, D) on a device -> scores (h, w, C)."""


def classes_at(scores: Tensor, size: tuple[int, int], frame: tuple[int, int]) -> NDArray[np.int64]:
    """The best class (height, width) of each pixel of the image that is at the top left of a frame: scores (h, w, C)
    of the frame's patches, bilinear between their middles as torch's interpolate(align_corners=False)."""
    down, along = image_weights(size, Layout((scores.shape[0], scores.shape[1]), frame))
    return best_classes(scores, down, along)


def best_classes(scores: Tensor, down: NDArray[np.float32], along: NDArray[np.float32]) -> NDArray[np.int64]:
    """The best class (H, W) where weights (H, h) and (W, w) mix scores (h, w, C)."""
    import torch

    rows_of, columns_of = (torch.from_numpy(each).to(scores) for each in (down, along))
    wide = torch.einsum("hwc,Ww->hWc", scores.clamp(min=LOWEST), columns_of)
    rows = max(1, BAND // (len(along) * scores.shape[2]))
    bands = [torch.einsum("Hh,hWc->HWc", part, wide).argmax(dim=2) for part in rows_of.split(rows)]
    classes: NDArray[np.int64] = torch.cat(bands).cpu().numpy()
    return classes


def overlaps_of(
    images: Images, scores: Scores, num_classes: int, inputs: Inputs, advance: Advance, boundaries: bool = True
) -> dict[str, Sequence[Any]]:
    """Columns of samples (metrics/dense.py), an entry for each image: `iou` is the mean over the classes of either map,
    `truth` and `prediction` are the maps, if pictures are wanted. boundaries: False leaves these and the boundaries'
    out, for baselines."""
    from mlcd_eval.support.resident import Rows

    patches = Rows(images.array, inputs.device)
    columns: dict[str, list[Any]] = {"key": [each.image for each in images.annotations]}
    columns["unit"] = [each.unit for each in images.annotations]
    for row, each in enumerate(images.annotations):
        truth = each.pixels()
        prediction = classes_at(scores(patches[row : row + 1][0]), each.size, images.frame)
        sample = _sample(prediction, truth, num_classes, boundaries)
        if boundaries and inputs.with_pictures:
            sample |= {"truth": as_png(truth), "prediction": as_png(prediction)}
        for name, value in sample.items():
            columns.setdefault(name, []).append(value)
        advance(1)
    return dict(columns)


def _sample(
    prediction: NDArray[np.int64], truth: NDArray[np.int16], num_classes: int, boundaries: bool
) -> dict[str, Any]:
    """One image's entries of the columns."""
    overlaps = class_overlaps(prediction, truth, num_classes)
    parts = {"class": overlaps}
    if boundaries:
        parts["boundary"] = boundary_overlaps(prediction, truth, num_classes)
    sample: dict[str, Any] = {}
    for name, part in parts.items():
        sample |= {f"{name}_intersection": part.intersection.tolist(), f"{name}_union": part.union.tolist()}
    sample |= {"pixels_right": int(overlaps.intersection.sum()), "pixels_scored": int((truth >= 0).sum())}
    if boundaries:
        sample["iou"] = _mean_of_image(*overlaps)
    return sample


def _mean_of_image(intersection: NDArray[Any], union: NDArray[Any]) -> float | None:
    """The mean IoU of the classes that either map has, None without any."""
    return float((intersection[union > 0] / union[union > 0]).mean()) if union.any() else None


def linear(weight: torch.Tensor, bias: torch.Tensor) -> Scores:
    """The scores of a linear classifier: weight (C, D), bias (C,)."""
    matrix, offset = weight.float().T, bias.float()
    return lambda patches: patches @ matrix + offset
