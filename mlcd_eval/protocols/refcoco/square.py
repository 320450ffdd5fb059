"""Masks on the square that a letterboxed encoder sees: the whole image is at its top left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def to_square(truths: Sequence[Mapping[str, Any]], side: int) -> torch.Tensor:
    """Return RLE masks of any sizes as (N, side, side) float32: the share of each cell of the square that is inside."""
    import torch
    from pycocotools import mask as coco

    cells = torch.zeros(len(truths), side, side)
    for row, truth in enumerate(truths):
        height, width = truth["size"]
        square = torch.zeros(1, 1, max(height, width), max(height, width))
        square[0, 0, :height, :width] = torch.from_numpy(coco.decode(truth))
        cells[row] = torch.nn.functional.interpolate(square, size=(side, side), mode="area")[0, 0]
    return cells


def from_square(scores: torch.Tensor, size: tuple[int, int]) -> np.ndarray:
    """Return scores (side, side) on the square, positive inside, as (height, width) bool on the image, bilinear."""
    import torch

    height, width = size
    square = torch.nn.functional.interpolate(
        scores[None, None].float(), size=(max(size), max(size)), mode="bilinear", align_corners=False
    )
    return (square[0, 0, :height, :width] > 0).cpu().numpy()
