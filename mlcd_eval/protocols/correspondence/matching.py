"""Where in an image the features are most like those at points of another one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlcd_eval.data.annotations import PointPair
from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.pixels import image_weights, weights_at
from mlcd_eval.support.progress import Advance
from mlcd_eval.support.resident import Rows

Match = Literal["pixels", "patches"]
"""Where a point may be found: at each pixel of the target, between patches too, or in the middle of a patch."""
BATCH = 1 << 25  # cosines held at a time
TINY = 1e-30  # in place of the length of a vector of zeros


def matched(
    features: Features, pairs: Sequence[PointPair], match: Match, device: str, advance: Advance = lambda _: None
) -> list[NDArray[np.float64]]:
    """Where the points of each pair are found in its target, as (x, y) (K, 2); an image is read once as a target."""
    layout, rows = features.layout, Rows(features.array, device)
    row_of = {key: row for row, key in enumerate(features.keys)}

    def patches(key: str) -> Tensor:
        return rows[row_of[key] : row_of[key] + 1][0].float()

    found: dict[int, NDArray[np.float64]] = {}
    order = sorted(range(len(pairs)), key=lambda number: row_of[pairs[number].images[1]])
    for key, numbers in groupby(order, key=lambda number: pairs[number].images[1]):
        target: Target | None = None
        for number in numbers:
            pair = pairs[number]
            target = target or Target(patches(key), pair.sizes[1], match, layout)
            found[number] = target.find(queries(patches(pair.images[0]), np.array(pair.source), pair.sizes[0], layout))
            advance(1)
    return [found[number] for number in range(len(pairs))]


def queries(patches: Tensor, points: NDArray[np.float64], size: tuple[int, int], layout: Layout) -> Tensor:
    """The features (K, D) at points (K, 2) of an image (height, width) at the top left of the frame that its patches
    (h, w, D) divide: bilinear between the middles of patches."""
    (rows, columns), (high, wide) = layout.grid, layout.spans(size)
    down = torch.from_numpy(weights_at(points[:, 1], rows, high)).to(patches)
    along = torch.from_numpy(weights_at(points[:, 0], columns, wide)).to(patches)
    return torch.einsum("kh,kw,hwd->kd", down, along, patches)


class Target:
    """An image (height, width) in which points are found. patches: (h, w, D), as in `queries`."""

    def __init__(self, patches: Tensor, size: tuple[int, int], match: Match, layout: Layout) -> None:
        self._patches = patches / patches.abs().max().clamp(min=TINY)  # squares neither overflow nor vanish
        self._between: tuple[Tensor, Tensor] | None = None
        self._step: NDArray[np.float64] = np.ones(2)
        if match == "pixels":
            down, along = (torch.from_numpy(each).to(patches) for each in image_weights(size, layout))
            self._between = down, along
            self._length = _lengths(self._patches, down, along)
        else:  # patches whose middle is in the image
            self._step = np.array(layout.spans(size)) / np.array(layout.grid)
            rows, columns = np.ceil(np.array(size) / self._step - 0.5).astype(int).tolist()
            self._patches = self._patches[:rows, :columns]
            self._length = self._patches.norm(dim=2)

    def find(self, vectors: Tensor) -> NDArray[np.float64]:
        """Where the cosine with each vector (K, D) is largest, as (x, y) (K, 2); the first of equal ones, by rows."""
        found = []
        for part in vectors.split(max(1, BATCH // self._length.numel())):
            products = torch.einsum("kd,hwd->khw", part / part.abs().max().clamp(min=TINY), self._patches)
            if self._between is not None:
                products = torch.einsum("Hh,khw,Ww->kHW", self._between[0], products, self._between[1])
            best = (products / self._length.clamp(min=TINY)).flatten(1).argmax(dim=1).cpu().numpy()
            cells = np.stack(np.unravel_index(best, tuple(self._length.shape)), axis=1)
            found.append((cells + 0.5) * self._step - 0.5)
        return np.concatenate(found)[:, ::-1]


def _lengths(patches: Tensor, down: Tensor, along: Tensor) -> Tensor:
    """The length (H, W) of each mixture of patches (h, w, D) by weights (H, h) and (W, w), of which two neighbouring
    ones are not 0; the mixtures themselves are never held."""
    wide = torch.einsum("hwd,Ww->hWd", patches, along)
    squares = torch.einsum("hWd,hWd->hW", wide, wide)
    products = torch.einsum("hWd,hWd->hW", wide[:-1], wide[1:])
    return (down**2 @ squares + 2 * (down[:, :-1] * down[:, 1:]) @ products).clamp(min=0).sqrt()
