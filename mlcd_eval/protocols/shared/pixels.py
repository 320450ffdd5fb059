"""Where the pixels of an image and the patches of its frame meet."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.protocols.layout import Layout

FINE = 4
"""Points along a side of a patch at which held-out images are compared."""


def cells_of(size: tuple[int, int], layout: Layout) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row of cells that each row of an image (height, width) falls in, and the column of each column, by the
    middles of pixels; the image is at the top left of the frame."""
    rows, columns = (
        np.floor((np.arange(count) + 0.5) * cells / span).astype(np.int64)
        for count, cells, span in zip(size, layout.grid, layout.spans(size), strict=True)
    )
    return rows, columns


def points_of(size: tuple[int, ...], layout: Layout) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The row and column of pixels in the middle of each of FINE x FINE parts of every patch; some are outside of the
    image (height, width)."""
    down, along = (
        np.floor((np.arange(FINE * cells) + 0.5) * span / (FINE * cells)).astype(np.int64)
        for cells, span in zip(layout.grid, layout.spans(size), strict=True)
    )
    return down, along


@lru_cache(maxsize=64)
def image_weights(size: tuple[int, int], layout: Layout) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(height, h) and (width, w): the share of each row and column of a grid (h, w) in those of the pixels of an image
    (height, width) at the top left of the frame."""
    down, along = (
        weights_at(np.arange(pixels), cells, span)
        for pixels, cells, span in zip(size, layout.grid, layout.spans(size), strict=True)
    )
    return down, along


def weights_at(places: NDArray[Any], cells: int, side: float) -> NDArray[np.float32]:
    """(N, cells): the share of each cell at places (N,), in pixels of which the first one's middle is 0 and
    all cells together are `side` wide."""
    place = np.clip((places + 0.5) * cells / side - 0.5, 0, cells - 1)
    low = np.minimum(np.floor(place).astype(int), cells - 1)
    high = np.minimum(low + 1, cells - 1)
    weights = np.zeros((len(place), cells), np.float32)
    np.add.at(weights, (np.arange(len(place)), low), 1 - (place - low))
    np.add.at(weights, (np.arange(len(place)), high), place - low)
    return weights
