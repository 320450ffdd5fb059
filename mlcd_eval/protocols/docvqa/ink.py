"""What patches hold of the ink on a page: the best linear map from a patch's features to how much of each of its pixels
letters cover, by ridge regression in closed form. Nothing else of the probe is fitted to an encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, pixel_shuffle, pixel_unshuffle

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
    fit, check = (_Sums(size, cells * cells, patches(pages[0]).device) for _ in range(2))
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


class _Sums:
    """Sums of products of features (N, D) and targets (N, T), from which a ridge regression follows. In float64."""

    def __init__(self, size: int, targets: int, device: torch.device) -> None:
        options: dict[str, Any] = {"dtype": torch.float64, "device": device}
        self.count = 0
        self.x, self.y = torch.zeros(size, **options), torch.zeros(targets, **options)
        self.xx, self.xy = torch.zeros(size, size, **options), torch.zeros(size, targets, **options)
        self.yy = torch.zeros((), **options)

    def add(self, x: Tensor, y: Tensor) -> None:
        x, y = x.double(), y.double()
        self.count += len(x)
        self.x += x.sum(dim=0)
        self.y += y.sum(dim=0)
        self.xx += x.T @ x
        self.xy += x.T @ y
        self.yy += y.square().sum()

    def __add__(self, other: _Sums) -> _Sums:
        both = _Sums(len(self.x), len(self.y), self.x.device)
        for name, value in vars(self).items():
            setattr(both, name, value + getattr(other, name))
        return both

    def solved(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Return the weights (D, T) and the bias (T,) of standardised features' ridge regression."""
        mean_x, mean_y = self.x / self.count, self.y / self.count
        covariance = self.xx / self.count - torch.outer(mean_x, mean_x)
        scale = covariance.diagonal().clamp_min(0).sqrt()
        inverse = torch.where(scale > 1e-6 * scale.max().clamp_min(1e-30), 1 / scale, 0)  # a constant tells nothing
        correlation = inverse[:, None] * covariance * inverse
        correlation.diagonal().add_(penalty)
        shared = inverse[:, None] * (self.xy / self.count - torch.outer(mean_x, mean_y))
        weights = inverse[:, None] * torch.cholesky_solve(shared, torch.linalg.cholesky(correlation))
        return weights, mean_y - (mean_x[None] @ weights)[0]

    def error(self, weights: Tensor, bias: Tensor) -> float:
        """Return the mean squared error on these samples, as a share of the targets' variance around their own mean."""
        squares = (
            self.yy
            + (weights * (self.xx @ weights)).sum()
            + self.count * bias.square().sum()
            - 2 * (weights * self.xy).sum()
            - 2 * (bias * self.y).sum()
            + 2 * ((self.x[None] @ weights)[0] * bias).sum()
        )
        variance = self.yy - self.y.square().sum() / self.count
        return float(squares / variance.clamp_min(1e-12))
