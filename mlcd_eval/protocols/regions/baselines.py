"""What regions say without an encoder: where and how large they are, their colour, and a small picture of them.

Each is scored as an encoder's features are. The shape of a box alone tells a share of COCO's classes, and of words that
are not drawn to one width how many letters they have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Region
from mlcd_eval.protocols.regions.pooling import Pool

WAVES = 4  # of the cosines of a place, in either direction
THUMBNAIL = (24, 12)  # columns and rows of the small picture


def positions(regions: Sequence[Region], pool: Pool) -> NDArray[np.float32]:
    """(R, 24): cosines of the middle of a box, its sides as shares of the image's longer side, and their logarithms,
    products and ratio, with the area."""
    return np.stack([_position(region) for region in regions]).astype(np.float32)


def _position(region: Region) -> NDArray[np.float64]:
    left, top, right, bottom = np.array(region.box) / max(region.size)
    waves = np.arange(WAVES)
    place = np.outer(np.cos(np.pi * waves * (top + bottom) / 2), np.cos(np.pi * waves * (left + right) / 2)).ravel()[1:]
    width, height = max(right - left, 1e-4), max(bottom - top, 1e-4)
    area = max(region.area / max(region.size) ** 2, 1e-8)
    sizes = [width, height, width * height, width**2, height**2, np.log(width), np.log(height), np.log(width / height)]
    return np.array([*place, *sizes, np.log(area)])


def colours(regions: Sequence[Region], pool: Pool) -> NDArray[np.float32]:
    """(R, 12): the means and deviations of red, green and blue in [0, 1], and the products of the means."""
    first, second = np.triu_indices(3)

    def colour(region: Region, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        inside = _inside(region, pixels, pool)
        mean = inside.mean(axis=0)
        return np.concatenate([mean, inside.std(axis=0), mean[first] * mean[second]])

    return _of_pictures(regions, colour)


def thumbnails(regions: Sequence[Region], pool: Pool) -> NDArray[np.float32]:
    """(R, 288): the box as a small grey picture, in [0, 1]."""
    from PIL import Image

    def thumbnail(region: Region, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        grey = Image.fromarray(_box(region, pixels).mean(axis=2).astype(np.float32))
        return np.asarray(grey.resize(THUMBNAIL, Image.Resampling.BOX), np.float64).ravel()

    return _of_pictures(regions, thumbnail)


def _of_pictures(regions: Sequence[Region], make: Callable[[Region, Any], NDArray[Any]]) -> NDArray[np.float32]:
    """Rows that are made of regions and the pixels of their pictures, each decoded once."""
    of_image: dict[str, list[int]] = {}
    for number, region in enumerate(regions):
        of_image.setdefault(region.image, []).append(number)
    rows: list[Any] = [None] * len(regions)
    for numbers in of_image.values():
        pixels = np.asarray(regions[numbers[0]].picture(), np.float64) / 255
        for number in numbers:
            rows[number] = make(regions[number], pixels)
    return np.stack(rows).astype(np.float32)


def _box(region: Region, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The pixels (h, w, 3) that a box reaches, at least one."""
    height, width = region.size
    left, top = (min(int(low), most - 1) for low, most in zip(region.box[:2], (width, height), strict=True))
    right, bottom = (int(np.ceil(high)) for high in region.box[2:])
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def _inside(region: Region, pixels: NDArray[np.float64], pool: Pool) -> NDArray[np.float64]:
    """The pixels (P, 3) under a mask or a box."""
    from pycocotools import mask as coco

    if pool == "mask" and region.truth is not None:
        inside = pixels[coco.decode(region.truth) > 0]
        if len(inside):
            return inside
    return _box(region, pixels).reshape(-1, 3)


BASELINES: Mapping[str, Callable[[Sequence[Region], Pool], NDArray[np.float32]]] = {
    "position": positions,
    "colour": colours,
    "pixels": thumbnails,
}
"""Name -> regions and how they are pooled -> features (R, D)."""
