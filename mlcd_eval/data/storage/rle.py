"""COCO's masks from outside, checked before pycocotools' C code reads them, which checks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from mlcd_eval.errors import DataError

FARTHEST = 1e6
"""The largest coordinate of a polygon, in pixels: C code turns five times that into an int."""
LONGEST_OUTLINE = 4e6
"""The longest outline of a mask's polygons together, in pixels: C code needs about 80 bytes per pixel of it."""
MOST_PIXELS = 1 << 28
"""Pixels of an image: C code counts them in 32 bits. Pillow refuses images above 179 million."""


def as_rle(segmentation: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """A mask as compressed RLE of size (height, width): the union of all its parts.

    segmentation: a run-length code, compressed or not, or a list of polygons or of run-length codes. Polygons of fewer
    than three points have no inside. Raises DataError for anything else, for codes of another size, and for runs that
    do not fill the image.
    """
    height, width = size
    if min(size) < 0 or height * width > MOST_PIXELS:
        raise DataError(f"{where}: the image has {width} x {height} pixels, expected at most {MOST_PIXELS:,}")
    try:
        parts = [segmentation] if isinstance(segmentation, Mapping) else segmentation
        if not isinstance(parts, Sequence) or isinstance(parts, str):
            raise TypeError(f"it is a {type(parts).__name__}")
        polygons = [None if isinstance(part, Mapping) else _points(part) for part in parts]
        outline = sum(_outline(polygon) for polygon in polygons if polygon is not None)
        if outline > LONGEST_OUTLINE:
            raise ValueError(
                f"polygons with an outline of {outline:,.0f} pixels, expected at most {LONGEST_OUTLINE:,.0f}"
            )
        masks = [
            _from_code(part, size) if polygon is None else _from_polygon(polygon, size)
            for part, polygon in zip(parts, polygons, strict=True)
        ]
    except _OtherSize as error:
        raise DataError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where}: the mask is neither polygons nor COCO RLE: {error}") from error
    return union(masks, size)


def union(masks: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> dict[str, Any]:
    """The union of checked RLE masks of size (height, width) as compressed RLE; without any, the empty mask."""
    height, width = size
    empty = {"size": [height, width], "counts": [height * width]}
    rle = coco.merge(list(masks)) if masks else coco.frPyObjects(empty, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


class _OtherSize(Exception):
    pass


def _from_code(code: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    height, width = size
    if list(code["size"]) != [height, width]:
        raise _OtherSize(
            f"the mask's size is {list(code['size'])}, expected the image's [height, width] = [{height}, {width}]"
        )
    runs = _runs(code["counts"])
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"runs that do not add up to {height * width} pixels")
    rle: dict[str, Any] = coco.frPyObjects({"size": [height, width], "counts": _joined(runs)}, height, width)
    return rle


def _points(polygon: Any) -> NDArray[np.float64]:
    """(n, 2) x and y in pixels."""
    numbers = np.asarray(polygon, dtype=np.float64)
    if numbers.ndim != 1 or numbers.size % 2 or not (np.abs(numbers) <= FARTHEST).all():  # no comparison holds for NaN
        raise ValueError("a polygon that is not x, y, x, y, ... in pixels")
    return numbers.reshape(-1, 2)


def _outline(points: NDArray[np.float64]) -> float:
    """The steps of a polygon's outline, of which C code makes one per pixel."""
    return float(np.abs(points - np.roll(points, 1, axis=0)).max(axis=1).sum()) if len(points) else 0.0


def _from_polygon(points: NDArray[np.float64], size: tuple[int, int]) -> dict[str, Any]:
    if len(points) < 3:
        return union([], size)
    rle: dict[str, Any] = coco.frPyObjects([points.ravel().tolist()], *size)[0]
    return rle


def _joined(runs: Sequence[int]) -> list[int]:
    """The same mask without runs of length zero, but for the first: C code reserves memory for one run per pixel."""
    joined: list[int] = []
    for position, run in enumerate(runs):
        if run == 0:
            continue
        if len(joined) % 2 == position % 2:  # the next run lies outside after an even number of them
            joined.append(run)
        elif joined:
            joined[-1] += run
        else:
            joined = [0, run]
    return joined


def _runs(counts: Any) -> list[int]:
    """Lengths of runs, outside first, from a list of them or from COCO's compressed text."""
    if isinstance(counts, (str, bytes)):
        return _decompressed(counts.encode("ascii") if isinstance(counts, str) else counts)
    if not isinstance(counts, Sequence) or any(not isinstance(run, int) for run in counts):
        raise TypeError(f"counts are a {type(counts).__name__}, expected text or integers")
    return list(counts)


def _decompressed(text: bytes) -> list[int]:
    """Lengths of runs from COCO's text. A character less 48 has five bits of a number, and the sixth if more follow;
    from the fourth run on, a number is the difference to the run before the last."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = character - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError(f"the character {character!r} in compressed counts")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("compressed counts that end within a number")
    return runs
