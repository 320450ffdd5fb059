"""COCO's run-length codes from outside, checked before pycocotools' C code reads them, which checks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pycocotools import mask as coco

from mlcd_eval.errors import DataError


def as_rle(segmentation: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """Polygons (their union) or run-length codes, compressed or not, as compressed RLE of size (height, width).

    Raises DataError for anything else, for codes of another size, and for runs that do not fill the image.
    """
    height, width = size
    try:
        if isinstance(segmentation, Mapping):
            if list(segmentation["size"]) != [height, width]:
                raise DataError(
                    f"{where}: the mask's size is {list(segmentation['size'])}, expected the image's "
                    f"[height, width] = [{height}, {width}]"
                )
            runs = _runs(segmentation["counts"])
            if any(run < 0 for run in runs) or sum(runs) != height * width:
                raise ValueError(f"runs that do not add up to {height * width} pixels")
            rle = coco.frPyObjects({"size": [height, width], "counts": runs}, height, width)
        else:
            polygons = [[float(number) for number in polygon] for polygon in segmentation]
            if any(len(polygon) % 2 or abs(number) > 1e6 for polygon in polygons for number in polygon):
                raise ValueError("a polygon that is not x, y, x, y, ... in pixels")
            polygons = [polygon for polygon in polygons if len(polygon) >= 6]  # a point or a line has no inside
            parts: Any = polygons or [{"size": [height, width], "counts": [height * width]}]
            rle = coco.merge(coco.frPyObjects(parts, height, width))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise DataError(f"{where}: the mask is neither polygons nor COCO RLE: {error}") from error
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}


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
