"""What the parts of a patch hold of the values of its pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import PixelValues
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.patch_images import PatchImages
from mlcd_eval.protocols.shared.pixels import FINE, cells_of, image_weights, weights_at

if TYPE_CHECKING:
    from torch import Tensor

Target = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Values (height, width, C) -> what is learned of them (height, width, T), NaN where nothing is."""
MeasuredImages = PatchImages[PixelValues]


@dataclass(frozen=True)
class Parts:
    """What FINE x FINE parts of each patch hold, P of them in rows. known: (P,), how many pixels with a target each
    has, as a share of its area; sums: (P, T), of their targets, and squares: of all targets' squares, in that unit."""

    known: NDArray[np.float64]
    sums: NDArray[np.float64]
    squares: float


def parts_of(targets: NDArray[np.float64], layout: Layout) -> Parts:
    """The parts of an image whose pixels have targets (height, width, T)."""
    fine = layout.finer(FINE)
    rows, columns = cells_of((targets.shape[0], targets.shape[1]), fine)
    is_known = np.isfinite(targets).all(axis=2)
    part = (rows[:, None] * fine.grid[1] + columns)[is_known]
    known, count = targets[is_known], fine.grid[0] * fine.grid[1]
    pixels = fine.area(targets.shape[:2])
    sums = [np.bincount(part, weights=known[:, each], minlength=count) for each in range(targets.shape[2])]
    return Parts(
        np.bincount(part, minlength=count) / pixels, np.stack(sums, axis=1) / pixels, float((known**2).sum() / pixels)
    )


@lru_cache(maxsize=8)
def interpolation(grid: tuple[int, int]) -> Any:
    """The sparse matrix (P, cells) by which what is said of patches is interpolated to the middles of their parts."""
    from scipy import sparse

    parts = [weights_at(np.arange(FINE * each), each, FINE * each).astype(np.float64) for each in grid]
    down, along = map(sparse.csr_matrix, parts)
    return sparse.kron(down, along, format="csr")


def at_pixels(said: Tensor, size: tuple[int, int], frame: tuple[int, int]) -> NDArray[np.float64]:
    """What is said (h, w, T) of the patches of a frame, bilinear at the pixels (height, width, T) of the image that is
    at its top left, as torch's interpolate(align_corners=False)."""
    down, along = (
        each.astype(np.float64) for each in image_weights(size, Layout((said.shape[0], said.shape[1]), frame))
    )
    wide = np.einsum("hwt,Ww->hWt", said.double().cpu().numpy(), along)
    return np.einsum("Hh,hWt->HWt", down, wide, optimize=True)
