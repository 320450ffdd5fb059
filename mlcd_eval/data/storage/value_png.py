"""What is known of pixels as text for JSON lines: a small PNG of levels for each number of a pixel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import UNLABELLED
from mlcd_eval.data.storage.class_png import as_png, of_png
from mlcd_eval.errors import DataError

SIDE = 224
"""Longest side in pixels of what is kept: every second, third ... pixel of larger maps."""
LEVELS = 254
"""The highest level; the lowest is 0."""


def as_levels(values: NDArray[Any], low: float, high: float) -> dict[str, Any]:
    """Return values (height, width, C), NaN where they are not known, as a dict of PNGs; what is outside low and high
    (low < high) is kept as these."""
    every = -(-max(values.shape[:2]) // SIDE)
    small = values[::every, ::every]
    levels = np.where(np.isnan(small), UNLABELLED, np.rint(LEVELS * (small.clip(low, high) - low) / (high - low)))
    return {"low": low, "high": high, "channels": [as_png(levels[..., each]) for each in range(levels.shape[2])]}


def of_levels(held: Mapping[str, Any], what: str) -> NDArray[np.int32]:
    """Return levels (h, w, C) of 0 for low to 254 for high, UNLABELLED where nothing is known, that `as_levels` made a
    dict of. Raises DataError, which names `what`, for another one."""
    channels = held.get("channels")
    if not isinstance(channels, list) or not channels:
        raise DataError(f"{what} has no levels of pixels: got {type(channels).__name__}, expected a list of PNGs")
    return np.stack([of_png(each, what) for each in channels], axis=-1)
