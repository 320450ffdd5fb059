"""A split of correspondences, and what every layout checks of its points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from mlcd_eval.data.annotations import Point, PointPair
from mlcd_eval.data.base import Sample
from mlcd_eval.errors import DataError


class Part(NamedTuple):
    """samples: the images of a split, each once; pairs: reads its pairs, and raises DataError for what is wrong."""

    samples: Sequence[Sample]
    pairs: Callable[[], list[PointPair]]


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
