"""A data set of parts of images: what the layouts of such data share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from mlcd_eval.data.annotations import Region
from mlcd_eval.data.base import Kind, Split
from mlcd_eval.errors import DataError

OUTSIDE = 1.0
"""Pixels that a box may reach beyond its image, as by rounding."""


class Part(NamedTuple):
    """A split: its images, and a function that reads what is marked in them."""

    images: Split
    regions: Callable[[], list[Region]]


class RegionSet:
    """Images of which parts are marked. parts: split -> a function that opens it.

    `split` and `annotations` raise DataError for what is missing or damaged, the second also for a split in which
    nothing is marked.
    """

    kind: Kind = "regions"
    templates: tuple[str, ...] | None = None

    def __init__(self, name: str, parts: Mapping[str, Callable[[], Part]], class_names: tuple[str, ...] | None) -> None:
        self.name, self._parts, self.class_names = name, parts, class_names
        self.splits: tuple[str, ...] = tuple(parts)
        self._opened: dict[str, Part] = {}
        self._read: dict[str, list[Region]] = {}

    def split(self, name: str) -> Split:
        """The images of a split, of which some may have no parts."""
        return self._part(name).images

    def annotations(self, split: str) -> Sequence[Region]:
        """The parts that are marked."""
        if split not in self._read:
            regions = self._part(split).regions()
            if not regions:
                raise DataError(f"the split {split!r} of {self.name} has no regions: got 0, expected at least 1")
            self._read[split] = regions
        return self._read[split]

    def _part(self, split: str) -> Part:
        if split not in self._parts:
            raise DataError(f"{self.name} has no split {split!r}: got one of {', '.join(self.splits)}")
        if split not in self._opened:
            self._opened[split] = self._parts[split]()
        return self._opened[split]


def checked_box(
    box: tuple[float, float, float, float], size: tuple[int, int], where: str
) -> tuple[float, float, float, float]:
    """A box of left, top, right and bottom cut to its image of (height, width). Raises DataError where it reaches more
    than OUTSIDE beyond the image, or its sides are in the wrong order."""
    left, top, right, bottom = box
    height, width = size
    fits = -OUTSIDE <= left <= right <= width + OUTSIDE and -OUTSIDE <= top <= bottom <= height + OUTSIDE
    if not fits:  # as where a number is NaN
        raise DataError(
            f"{where} has a box outside of its image: got x {left:g} to {right:g} and y {top:g} to {bottom:g}, "
            f"expected both within {width} x {height} pixels"
        )
    return (max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom))
