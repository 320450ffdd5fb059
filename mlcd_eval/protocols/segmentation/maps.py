"""From scores of patches to classes of an image's own pixels, and what they share with the true classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.dense import boundary_overlaps, class_overlaps
from mlcd_eval.protocols.segmentation.tokens import Images
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BAND = 1 << 25  # scores of pixels held at a time
LOWEST = -1e30  # in place of minus infinity, which has no place between two patches
Scores = Callable[["Tensor"], "Tensor"]
"""Patches (h, w, D) on a device -> scores (h, w, C)."""


def classes_at(scores: Tensor, size: tuple[int, int]) -> NDArray[np.int64]:
    """The best class (height, width) of each pixel of the image that is at the top left of a square: scores (h, w, C)
    of the square's patches, bilinear between their middles as torch's interpolate(align_corners=False)."""
    side = max(size)
    down, along = (weights_of(pixels, cells, side) for pixels, cells in zip(size, scores.shape[:2], strict=True))
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


@lru_cache(maxsize=64)
def weights_of(pixels: int, cells: int, side: int) -> NDArray[np.float32]:
    """(pixels, cells): the share of each cell in each pixel, of `side` pixels that all cells together are wide."""
    return weights_at(np.arange(pixels), cells, side)


def weights_at(places: NDArray[Any], cells: int, side: int) -> NDArray[np.float32]:
    """(N, cells): the share of each cell at places (N,), in pixels of which the first one's middle is 0."""
    place = np.clip((places + 0.5) * cells / side - 0.5, 0, cells - 1)
    low = np.minimum(np.floor(place).astype(int), cells - 1)
    high = np.minimum(low + 1, cells - 1)
    weights = np.zeros((len(place), cells), np.float32)
    np.add.at(weights, (np.arange(len(place)), low), 1 - (place - low))
    np.add.at(weights, (np.arange(len(place)), high), place - low)
    return weights


def overlaps_of(
    images: Images, scores: Scores, num_classes: int, device: str, advance: Advance, boundaries: bool = True
) -> dict[str, Sequence[Any]]:
    """Columns of samples (metrics/dense.py), an entry for each image. boundaries: False leaves theirs out."""
    from mlcd_eval.support.resident import Rows

    patches = Rows(images.array, device)
    names = ["class", *(["boundary"] if boundaries else [])]
    columns: dict[str, list[Any]] = {f"{name}_{each}": [] for name in names for each in ("intersection", "union")}
    columns |= {"pixels_right": [], "pixels_scored": []}
    for row, each in enumerate(images.maps):
        truth = each.pixels()
        prediction = classes_at(scores(patches[row : row + 1][0]), each.size)
        parts = [class_overlaps, *([boundary_overlaps] if boundaries else [])]
        for name, measure in zip(names, parts, strict=True):
            overlaps = measure(prediction, truth, num_classes)
            columns[f"{name}_intersection"].append(overlaps.intersection.tolist())
            columns[f"{name}_union"].append(overlaps.union.tolist())
        columns["pixels_right"].append(int(((prediction == truth) & (truth >= 0)).sum()))
        columns["pixels_scored"].append(int((truth >= 0).sum()))
        advance(1)
    keys = {"key": [each.image for each in images.maps], "unit": [each.unit for each in images.maps]}
    return {**keys, **columns}


def linear(weight: torch.Tensor, bias: torch.Tensor) -> Scores:
    """The scores of a linear classifier: weight (C, D), bias (C,)."""
    matrix, offset = weight.float().T, bias.float()
    return lambda patches: patches @ matrix + offset
