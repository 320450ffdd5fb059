"""A split of correspondences, and what every layout checks of its points."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Point, PointPair
from mlcd_eval.data.base import Sample
from mlcd_eval.errors import DataError

POINTS = 10
"""Drawn of an object in a pair of images."""
FEWEST = 20
"""Points that are known to be in both images: a pair that shares fewer is left out."""
Box = tuple[float, float, float, float]
"""Left, top, right and bottom."""


class Part(NamedTuple):
    """samples: the images of a split, each once; pairs: reads its pairs, given a folder to keep what is found of files
    in or None, and raises DataError for what is wrong."""

    samples: Sequence[Sample]
    pairs: Callable[[Path | None], list[PointPair]]


def check_inside(points: Sequence[Point], size: tuple[int, int], image: str, where: object) -> None:
    """Raise DataError for no points, and for one that is outside of an image (height, width)."""
    height, width = size
    if not points:
        raise DataError(f"{where} has no points: got 0 in image {image!r}, expected at least 1")
    for x, y in points:
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise DataError(
                f"{where} has the point ({x:g}, {y:g}), which is outside of image {image!r}: expected x from 0 to "
                f"{width - 1} and y from 0 to {height - 1}"
            )


def seeded(name: str) -> np.random.Generator:
    """Chance that is the same in every run."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def drawn(count: int, pair_id: str) -> NDArray[np.int64]:
    """POINTS numbers below `count`, ascending, drawn with a seed made of the pair's name."""
    return np.sort(seeded(pair_id).choice(count, POINTS, replace=False))


def box_of(mask: NDArray[np.bool_]) -> Box:
    """The box around the pixels of a mask, which has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def in_pixels(places: NDArray[np.float64], size: tuple[int, int]) -> tuple[Point, ...]:
    """Places (K, 2), shares of width and height of an image (height, width), in pixels, to a hundredth."""
    at = places * np.array(size[::-1]) - 0.5
    return tuple((round(x, 2), round(y, 2)) for x, y in at.tolist())
