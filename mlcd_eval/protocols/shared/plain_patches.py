"""Patches that hold nothing but where they are, and nothing but their colour: what a score is worth without features.

A large share of a scene's pixels is told by its place or its colour alone. Both are scored by the same classifier as
an encoder's patches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import ClassMap, PixelValues
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.patch_images import PatchImages
from mlcd_eval.protocols.shared.pixels import cells_of

if TYPE_CHECKING:
    from PIL import Image

BASELINE_IMAGES = 2000
"""Of train, from which a baseline learns at most."""
WAVES = 4  # of the cosines of a place, in either direction


A = TypeVar("A", ClassMap, PixelValues)


class Pictured(Protocol):
    """What has an image, as a ClassMap does."""

    @property
    def picture(self) -> Callable[[], Image.Image]:
        """Returns it, RGB."""


def places(maps: Sequence[Pictured], layout: Layout) -> NDArray[np.float32]:
    """(N, h, w, 15): cosines of where a patch is, the same for every image."""
    down, along = ((np.arange(count) + 0.5) / count for count in layout.grid)
    rows, columns = (np.cos(np.pi * at[:, None] * np.arange(WAVES)) for at in (down, along))
    waves = (rows[:, None, :, None] * columns[None, :, None, :]).reshape(*layout.grid, WAVES**2)[..., 1:]
    return np.broadcast_to(waves.astype(np.float32), (len(maps), *waves.shape))


def colours(maps: Sequence[Pictured], layout: Layout) -> NDArray[np.float32]:
    """(N, h, w, 9): a patch's mean red, green and blue in [0, 1], and their products; 0 outside of the image."""
    means = np.stack([_means(each, layout) for each in maps])
    first, second = np.triu_indices(3)
    return np.concatenate([means, means[..., first] * means[..., second]], axis=3).astype(np.float32)


def _means(each: Pictured, layout: Layout) -> NDArray[np.float64]:
    pixels = np.asarray(each.picture(), dtype=np.float64) / 255
    rows, columns = cells_of((pixels.shape[0], pixels.shape[1]), layout)
    grid = layout.grid
    cell = (rows[:, None] * grid[1] + columns).ravel()
    count = np.bincount(cell, minlength=grid[0] * grid[1])
    sums = [np.bincount(cell, weights=pixels[..., band].ravel(), minlength=len(count)) for band in range(3)]
    return (np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]).reshape(*grid, 3)


BASELINES: Mapping[str, Callable[[Sequence[Pictured], Layout], NDArray[np.float32]]] = {
    "position": places,
    "colour": colours,
}
"""Name -> images and a layout -> patches."""


def plain_images(images: Mapping[str, PatchImages[A]], name: str, seed: int) -> dict[str, PatchImages[A]]:
    """The images of each role with patches of a baseline, but of those that are learned from some where there are
    many."""
    chance, plain = np.random.default_rng(seed), {}
    for role, each in images.items():
        chosen = each.annotations
        if role != "test" and len(chosen) > BASELINE_IMAGES:
            rows = sorted(chance.choice(len(chosen), BASELINE_IMAGES, replace=False).tolist())
            chosen = [chosen[row] for row in rows]
        plain[role] = PatchImages(BASELINES[name](chosen, each.layout), chosen, frame=each.frame)
    return plain
