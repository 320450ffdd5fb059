"""Features of regions: the mean of the patches under a mask or a box, weighted by how much of each patch it covers.

The image is at the top left of the square that the patches divide, so that padding is under no region. The mean over a
box is exact, which RoIAlign (He et al. 2017) approximates by sampled points.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Annotation, Region
from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.pixels import cells_of
from mlcd_eval.protocols.shared.scored import of_kind
from mlcd_eval.support.progress import Advance

Pool = Literal["mask", "box"]


@dataclass(frozen=True)
class Regions:
    """The regions of a role whose images could be read, in the data's order; num_unread: of the others."""

    every: Sequence[Region]
    num_unread: int


def regions_of(images: Features, annotations: Sequence[Annotation], role: str) -> Regions:
    """The regions of a role; raises DataError where none of their images could be read."""
    known = set(images.keys)
    every = of_kind(annotations, Region)
    read = [each for each in every if each.image in known]
    if not read:
        raise DataError(
            f"the {role} split has no region in an image that can be read: got {len(every)} regions in "
            f"{len(known)} images, expected at least 1"
        )
    return Regions(read, len(every) - len(read))


def drawn(regions: Sequence[Region], most: int, chance: np.random.Generator) -> list[Region]:
    """The regions, or as many as `most` of them, drawn without replacement, in their order."""
    if len(regions) <= most:
        return list(regions)
    return [regions[row] for row in np.sort(chance.choice(len(regions), most, replace=False))]


def check_masks(regions: Sequence[Annotation], pool: Pool, split: str) -> None:
    """Raise IncompatibleError where masks are asked for and a region has only a box."""
    without = [each for each in of_kind(regions, Region) if each.truth is None]
    if pool == "mask" and without:
        raise IncompatibleError(
            f"pool=mask needs a mask of every region: got {len(without)} of {len(regions)} in split {split!r} with "
            f"a box alone, first {without[0].region_id!r}, expected --set pool=box"
        )


def weights_of(region: Region, layout: Layout, pool: Pool, parts: int = 1) -> NDArray[np.float64]:
    """How much of each patch a region covers, (parts, h, w), each part summing to 1.

    parts: into how many of the same width its box is cut, from left to right; 1 for a mask. A region that covers
    nothing is that of the patch in which the middle of its box lies.
    """
    if pool == "mask":
        weights = _of_mask(region, layout)[None]
    else:
        left, top, right, bottom = region.box
        edges = np.linspace(left, right, parts + 1)
        (rows, columns), (high, wide) = layout.grid, layout.spans(region.size)
        down = _covered(top, bottom, rows, high)
        along = [_covered(*edge, columns, wide) for edge in pairwise(edges)]
        weights = down[None, :, None] * np.stack(along)[:, None, :]
    for weight in weights:
        if weight.sum() <= 0:
            weight[_middle(region, layout)] = 1
    normalised: NDArray[np.float64] = weights / weights.sum(axis=(1, 2), keepdims=True)
    return normalised


def _of_mask(region: Region, layout: Layout) -> NDArray[np.float64]:
    """The pixels of a mask in each patch, by their middles."""
    from pycocotools import mask as coco

    assert region.truth is not None, "checked by check_masks"
    grid = layout.grid
    rows, columns = cells_of(region.size, layout)
    cell = (rows[:, None] * grid[1] + columns)[coco.decode(region.truth) > 0]
    return np.bincount(cell, minlength=grid[0] * grid[1]).reshape(grid).astype(np.float64)


def _covered(low: float, high: float, cells: int, side: float) -> NDArray[np.float64]:
    """How much of each of `cells` parts of a side lies between two places, (cells,), in parts."""
    first, last = low * cells / side, high * cells / side
    starts = np.arange(cells)
    return np.clip(np.minimum(last, starts + 1) - np.maximum(first, starts), 0, None)


def _middle(region: Region, layout: Layout) -> tuple[int, int]:
    (left, top, right, bottom), grid = region.box, layout.grid
    row, column = (
        int((low + high) / 2 * cells / span)
        for low, high, cells, span in zip((top, left), (bottom, right), grid, layout.spans(region.size), strict=True)
    )
    return min(row, grid[0] - 1), min(column, grid[1] - 1)


def pooled(
    images: Features, regions: Sequence[Region], pool: Pool, parts: int = 1, advance: Advance = lambda _: None
) -> NDArray[np.float32]:
    """The features (R, parts * D) of regions, from patches (N, h, w, D), of which one image's are held at a time.

    advance: called with the number of regions done.
    """
    row: Mapping[str, int] = {key: number for number, key in enumerate(images.keys)}
    layout, width = images.layout, images.array.shape[3]
    features = np.empty((len(regions), parts * width), np.float32)
    of_image: dict[str, list[int]] = {}
    for number, region in enumerate(regions):
        of_image.setdefault(region.image, []).append(number)
    for image in sorted(of_image, key=row.__getitem__):
        numbers = of_image[image]
        tokens = np.asarray(images.array[row[image]], np.float32).reshape(-1, width)
        weights = np.stack([weights_of(regions[number], layout, pool, parts) for number in numbers])
        means = weights.reshape(len(numbers) * parts, -1).astype(np.float32) @ tokens
        features[numbers] = means.reshape(len(numbers), parts * width)
        advance(len(numbers))
    return features
