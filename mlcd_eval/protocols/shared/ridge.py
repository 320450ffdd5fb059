"""Ridge regression in closed form, from sums over samples, which are as large for a million samples as for ten."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class RidgeSums:
    """Sums over samples of features (D,), targets (T,) and their products, in float64.

    count: the samples' number, or the sum of their weights; x, y: of features and targets; xx, xy: of their products;
    yy: of the targets' squares.
    """

    def __init__(self, size: int, targets: int, device: torch.device) -> None:
        options: dict[str, Any] = {"dtype": torch.float64, "device": device}
        self.count = 0.0
        self.x, self.y = torch.zeros(size, **options), torch.zeros(targets, **options)
        self.xx, self.xy = torch.zeros(size, size, **options), torch.zeros(size, targets, **options)
        self.yy = torch.zeros((), **options)

    def add(self, x: Tensor, y: Tensor) -> None:
        """Add samples: features (N, D) and targets (N, T)."""
        x, y = x.double(), y.double()
        self.count += len(x)
        self.x += x.sum(dim=0)
        self.y += y.sum(dim=0)
        self.xx += x.T @ x
        self.xy += x.T @ y
        self.yy += y.square().sum()

    def __add__(self, other: RidgeSums) -> RidgeSums:
        both = RidgeSums(len(self.x), len(self.y), self.x.device)
        for name, value in vars(self).items():
            setattr(both, name, value + getattr(other, name))
        return both

    def solved(self, penalty: float) -> tuple[Tensor, Tensor]:
        """Return the weights (D, T) and the bias (T,) of standardised features' ridge regression."""
        mean_x, mean_y = self.x / self.count, self.y / self.count
        covariance = self.xx / self.count - torch.outer(mean_x, mean_x)
        scale = covariance.diagonal().clamp_min(0).sqrt()
        least = torch.maximum(1e-6 * scale.max().clamp_min(1e-30), 1e-6 * (self.xx.diagonal() / self.count).sqrt())
        inverse = torch.where(scale > least, 1 / scale, 0)  # a constant tells nothing, and its variance is rounding
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
