"""The class of each patch of a letterboxed image, and the patches that a classifier is fitted to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import UNLABELLED, ClassMap
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.patch_images import PatchImages
from mlcd_eval.protocols.shared.pixels import cells_of, points_of

Images = PatchImages[ClassMap]
LEAST = 0.5  # of a patch's area whose classes are known: of others no class is learned
_ROWS = 1 << 14  # tokens read at a time


def class_shares(classes: NDArray[np.int16], layout: Layout, num_classes: int) -> NDArray[np.float32]:
    """The share (h, w, C) of each class in the scored pixels of each patch; all 0 where the classes of less than LEAST
    of its area are known: padding, or pixels that are not scored.

    classes: (height, width) of the image.
    """
    (height, width), grid = classes.shape, layout.grid
    rows, columns = cells_of((height, width), layout)
    cell = rows[:, None] * grid[1] + columns
    scored = classes >= 0
    counts = np.bincount(cell[scored] * num_classes + classes[scored], minlength=grid[0] * grid[1] * num_classes)
    counts = counts.reshape(*grid, num_classes)
    known = counts.sum(axis=2, keepdims=True)
    enough = known >= LEAST * layout.area(classes.shape)
    return np.where(enough, counts / np.maximum(known, 1), 0).astype(np.float32)


def patch_classes(classes: NDArray[np.int16], layout: Layout, num_classes: int) -> NDArray[np.int16]:
    """The most frequent class (h, w) of each patch's pixels, the lower of equal ones; UNLABELLED where its shares are
    not known. classes: (height, width) of the image."""
    shares = class_shares(classes, layout, num_classes)
    return np.where(shares.any(axis=2), shares.argmax(axis=2), UNLABELLED).astype(np.int16)


@dataclass(frozen=True)
class Tokens:
    """Patches of images whose class is known: features (T, D) float32 and labels (T,). num_images: how many
    images have any; num_known: how many patches of known class these have, of which the T are drawn."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    num_images: int
    num_known: int


@dataclass(frozen=True)
class HeldOut:
    """Whole images that are not fitted while lambda is searched. array: (N, h, w, D); truth: (N, FINE h, FINE w), the
    class at points between and around the middles of patches; tokens: their patches of known class."""

    array: NDArray[np.floating]
    truth: NDArray[np.int16]
    tokens: Tokens


def held_out_of(
    images: Images,
    labels: NDArray[np.int16],
    most: int,
    chance: np.random.Generator,
    among: NDArray[np.int64] | None = None,
) -> HeldOut:
    """Images that are held out, at most as many as have `most` patches, but one at least. Only these are read.

    labels: as `labels_of` returns them. among: the rows that they are drawn from, None for all.
    """
    among = np.arange(len(images.annotations)) if among is None else among
    count = max(1, most // (images.grid[0] * images.grid[1]))
    chosen = np.sort(chance.choice(len(among), count, replace=False)) if count < len(among) else slice(None)
    rows = among[chosen].tolist()
    truth = np.stack([_at_points(images.annotations[row], images.layout) for row in rows])
    array = images.array[rows]
    return HeldOut(array, truth, tokens_of(array, labels[rows], labels.size, chance))


def _at_points(each: ClassMap, layout: Layout) -> NDArray[np.int16]:
    """The class at the middle of each of FINE x FINE parts of every patch, UNLABELLED outside of the image."""
    down, along = points_of(each.size, layout)
    padded = np.full((max(down[-1] + 1, each.size[0]), max(along[-1] + 1, each.size[1])), UNLABELLED, np.int16)
    padded[: each.size[0], : each.size[1]] = each.pixels()
    return padded[np.ix_(down, along)]


def labels_of(maps: Sequence[ClassMap], layout: Layout, num_classes: int) -> NDArray[np.int16]:
    """The class (N, h, w) of every patch, UNLABELLED where it is not known."""
    return np.stack([patch_classes(each.pixels(), layout, num_classes) for each in maps])


def tokens_of(array: NDArray[np.floating], labels: NDArray[np.int16], most: int, chance: np.random.Generator) -> Tokens:
    """The tokens of images with known classes, or as many as `most` of them, drawn without replacement.

    Only these are read from the array, in its order.
    """
    known = np.flatnonzero(labels >= 0)
    drawn = known if len(known) <= most else np.sort(chance.choice(known, most, replace=False))
    features = np.empty((len(drawn), array.shape[3]), np.float32)
    for begin in range(0, len(drawn), _ROWS):
        part = slice(begin, begin + _ROWS)
        features[part] = array[np.unravel_index(drawn[part], labels.shape)]
    num_images = int((labels >= 0).any(axis=(1, 2)).sum())
    return Tokens(features, labels.reshape(-1)[drawn].astype(np.int64), num_images, len(known))
