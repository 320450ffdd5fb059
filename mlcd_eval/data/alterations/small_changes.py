"""Small changes that should not matter, of an image at its own size: pixels (h, w, 3) uint8 -> the same."""

from __future__ import annotations

import numpy as np

from mlcd_eval.data.alterations.digital import as_jpeg
from mlcd_eval.data.alterations.noise import Pixels

STEP = 32  # a shift or a margin is this part of a side, at least one pixel
QUALITY = 90  # of JPEG
_DIRECTIONS = {"shift_left": (0, -1), "shift_right": (0, 1), "shift_up": (-1, 0), "shift_down": (1, 0)}


def small_change(pixels: Pixels, name: str) -> Pixels:
    """Return pixels mirrored left to right (flip), moved with the edge repeated (shift_...), without a margin on every
    side (crop), or stored as JPEG of quality 90 (jpeg)."""
    if name == "flip":
        return np.ascontiguousarray(pixels[:, ::-1])
    if name == "jpeg":
        return as_jpeg(pixels, QUALITY)
    margins = [max(1, round(side / STEP)) for side in pixels.shape[:2]]
    if name == "crop":
        (down, across), (height, width) = margins, pixels.shape[:2]
        return np.ascontiguousarray(pixels[down : height - down, across : width - across])
    down, across = (margin * sign for margin, sign in zip(margins, _DIRECTIONS[name], strict=True))
    rows, columns = (
        np.clip(np.arange(side) - step, 0, side - 1) for side, step in zip(pixels.shape, (down, across), strict=False)
    )
    return pixels[rows][:, columns]
