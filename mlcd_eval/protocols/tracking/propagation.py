"""Labels of a clip's first frame, propagated to each following one by the patches that are most alike.

The algorithm of DINO's evaluation on DAVIS (Caron et al. 2021, eval_video_segmentation.py; Jabri et al. 2020): a patch
mixes the labels of the patches most like it, in the first frame and in the frames just before, near its own place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.pixels import weights_at
from mlcd_eval.protocols.shared.unit import unit

BATCH = 1 << 25  # cosines held at a time


@dataclass(frozen=True)
class Propagation:
    """frames: before the one that is labelled, besides the first; near: rows and columns of patches within which others
    are looked at; k: how many are mixed; temperature: that their cosines are divided by."""

    frames: int
    near: int
    k: int
    temperature: float


class Grid:
    """The patches whose middle is in an image (height, width) at the top left of the frame."""

    def __init__(self, size: tuple[int, ...], layout: Layout) -> None:
        self._size, step = size, np.array(layout.spans(size)) / np.array(layout.grid)
        counts = np.ceil(np.array(size) / step - 0.5).astype(int)
        self.shape: tuple[int, int] = (int(counts[0]), int(counts[1]))
        self._sides = (counts * step).tolist()
        self._middles = [
            np.floor((np.arange(count) + 0.5) * each).astype(int) for count, each in zip(counts, step, strict=True)
        ]

    def patches(self, frame: Tensor) -> Tensor:
        """Unit patches (h w, D) of all patches (h, w, D) of a frame."""
        return unit(frame[: self.shape[0], : self.shape[1]].flatten(0, 1))

    def labels_of(self, mask: NDArray[np.integer], count: int) -> Tensor:
        """One-hot labels (h w, count) of the pixels of a mask (height, width) at the patches' middles."""
        labels = torch.from_numpy(mask[np.ix_(*self._middles)].astype(np.int64)).flatten()
        return torch.nn.functional.one_hot(labels, count).float()

    def mask_of(self, labels: Tensor) -> NDArray[np.int64]:
        """The best label (height, width) of each pixel: labels (h w, C) between the middles of patches, those of each
        object scaled to between 0 and 1 over the image, as DINO's evaluation does. The first of equal ones."""
        down, along = (
            torch.from_numpy(weights_at(np.arange(pixels), count, side)).to(labels)
            for pixels, count, side in zip(self._size, self.shape, self._sides, strict=True)
        )
        maps = torch.einsum("Hh,hwc,Ww->cHW", down, labels.unflatten(0, self.shape), along)
        low, high = (end(maps, dim=(1, 2), keepdim=True) for end in (torch.amin, torch.amax))
        found: NDArray[np.int64] = ((maps - low) / (high - low).clamp(min=1e-12)).argmax(dim=0).cpu().numpy()
        return found

    def near(self, near: int) -> Tensor:
        """Whether each patch (h w, h w) is within so many rows and columns of each other one."""
        row, column = np.divmod(np.arange(self.shape[0] * self.shape[1]), self.shape[1])
        close = [np.abs(each[:, None] - each) <= near for each in (row, column)]
        return torch.from_numpy(close[0] & close[1])


def propagated(
    frames: Iterable[Tensor], mask: NDArray[np.integer], num_objects: int, how: Propagation, layout: Layout
) -> Iterator[NDArray[np.int64]]:
    """Yield the mask (height, width) of each frame after the first, whose mask is given; at most `how.frames` and two
    more are held.

    frames: the patches (h, w, D) of each frame, which lies in them by the layout.
    """
    grid: Grid | None = None
    before: deque[tuple[Tensor, Tensor]] = deque(maxlen=how.frames)
    for frame in frames:
        if grid is None:
            grid = Grid(mask.shape, layout)
            keys, near = grid.patches(frame), grid.near(how.near).to(frame.device)
            first = keys, grid.labels_of(mask, num_objects + 1).to(keys)
            continue
        patches = grid.patches(frame)
        labels = _mixed(patches, [first, *before], near, how)
        before.append((patches, labels))
        yield grid.mask_of(labels)


def of_true_labels(
    masks: Iterable[NDArray[np.integer]], num_objects: int, layout: Layout
) -> Iterator[NDArray[np.int64]]:
    """Yield each mask (height, width) as patches with their true labels show it: about the most that a grid can."""
    for mask in masks:
        grid = Grid(mask.shape, layout)
        known = np.where(mask > num_objects, 0, mask)  # objects that appear late are none
        yield grid.mask_of(grid.labels_of(known, num_objects + 1))


def _mixed(patches: Tensor, known: Sequence[tuple[Tensor, Tensor]], near: Tensor, how: Propagation) -> Tensor:
    """The labels (P, C) of patches (P, D): of the k most alike of the known ones nearby, and of those that are as alike
    as the k-th, weighted by the softmax of their cosines over the temperature."""
    keys, labels = (torch.cat(each) for each in zip(*known, strict=True))
    rows = max(1, BATCH // len(keys))
    found = []
    for part, close in zip(patches.split(rows), near.split(rows), strict=True):
        cosines = (part @ keys.T).masked_fill(~close.repeat(1, len(known)), -torch.inf)
        least = cosines.topk(min(how.k, len(keys)), dim=1).values[:, -1:]
        cosines = cosines.masked_fill(cosines < least, -torch.inf)
        found.append((cosines / how.temperature).softmax(dim=1) @ labels)
    return torch.cat(found)
