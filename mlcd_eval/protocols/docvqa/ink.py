"""What patches hold of the ink on a page: the best linear map from a patch's features to how much of each of its pixels
letters cover, by ridge regression in closed form. Nothing else of the probe is fitted to an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pixel_shuffle, pixel_unshuffle

from mlcd_eval.protocols.shared.ridge import RidgeSums

PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Tried; added to the diagonal of the features' correlations."""
PATCHES = 40_000  # that the map is fitted to, at most: more pages tell it little
CHECKED = 4  # of so many pages one chooses the penalty
FINEST = 32  # cells on a side of a patch, at most


@dataclass(frozen=True)
class InkMap:
    """weights (D, cells * cells) and bias: from a patch's features to its cells, row by row. penalty: the one chosen.
    explained: the share of the ink's variance that it explains on the pages that chose it."""

    weights: Tensor
    bias: Tensor
    penalty: float
    explained: float

    @property
    def cells(self) -> int:
        """Cells on a side of a patch."""
        return round(self.weights.shape[1] ** 0.5)

    def field(self, patches: Tensor) -> Tensor:
        """Return the ink (h * cells, w * cells) of a page's patches (h, w, D)."""
        return pixel_shuffle((patches @ self.weights + self.bias).permute(2, 0, 1)[None], self.cells)[0, 0]


def cells_of(grid: tuple[int, int], side: int) -> int:
    """Return how many cells a side of a patch gets: one for each pixel that the encoder sees, at most FINEST."""
    return max(1, min(FINEST, round(side / max(grid))))


def learn_ink(
    patches: Callable[[str], Tensor], ink: Callable[[str], Tensor], pages: Sequence[str], cells: int
) -> InkMap:
    """Fit the map. patches: a page's key -> (h, w, D) on a device; ink: -> (side, side) in [0, 1]."""
    height, width, size = patches(pages[0]).shape
    chosen = pages[: max(2, PATCHES // (height * width))]
    fit, check = (RidgeSums(size, cells * cells, patches(pages[0]).device) for _ in range(2))
    for number, page in enumerate(chosen):
        here = patches(page)
        target = adaptive_avg_pool2d(ink(page)[None, None].to(here.device), (height * cells, width * cells))
        sums = check if number % CHECKED == CHECKED - 1 or len(chosen) < CHECKED else fit
        sums.add(here.flatten(0, 1), pixel_unshuffle(target, cells)[0].flatten(1).T)
    fit = fit if fit.count else check
    errors = [check.error(*fit.solved(penalty)) for penalty in PENALTIES]
    best = min(range(len(PENALTIES)), key=errors.__getitem__)
    weights, bias = (fit + check if fit is not check else fit).solved(PENALTIES[best])
    return InkMap(weights.float(), bias.float(), PENALTIES[best], 1 - errors[best])
