"""The current point of a minimisation, and the line along which it continues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from mlcd_eval.protocols.classification.logistic.components import CHUNK

LEAST_ROWS = 1024
KEPT = {"cpu": 1 << 30, "cuda": 1 << 32}  # numbers (4 and 16 GB): logits are kept if three times as many fit


@dataclass(frozen=True)
class Data:
    """x (N, D) float32. targets (1 or C, N): as `loss` (losses.py) takes them. num_classes: C."""

    x: Tensor
    targets: Tensor
    loss: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    num_classes: int

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Return chunks of x (B, D) and targets (1 or C, B), small enough for their logits to stay in the cache and
        large enough for an efficient product."""
        rows = max(LEAST_ROWS, CHUNK[self.x.device.type] // self.num_classes)
        return zip(self.x.split(rows), self.targets.split(rows, dim=1), strict=True)


class Line:
    """theta (C, D + 1) float64, and a direction from there.

    Logits are linear in the step. If they fit into memory, a trial costs no product with the data, and aiming and
    moving cost one each; otherwise each trial costs two. passes: pairs of products so far. The first call must be
    at(0).
    """

    def __init__(self, data: Data, theta: Tensor, lambda_: float) -> None:
        self.theta, self.passes = theta, 0
        self._data, self._lambda = data, lambda_
        self._keeps = 3 * len(data.x) * data.num_classes <= KEPT[data.x.device.type]
        weights = _weights(theta)
        self._logits = [_logits(weights, x) for x, _ in data.chunks()] if self._keeps else []
        self._ahead = [torch.zeros_like(logits) for logits in self._logits]  # what a step of 1 adds
        self._residuals = [torch.empty_like(logits) for logits in self._logits]  # of the last trial
        self._set_direction(torch.zeros_like(theta, dtype=torch.float32))

    def aim(self, direction: Tensor) -> None:
        """Set the direction (C, D + 1) float32, which must not change before the move."""
        self._set_direction(direction)
        weights = _weights(direction)
        for ahead, (x, _) in zip(self._ahead, self._data.chunks(), strict=False):
            _logits(weights, x, out=ahead)

    def at(self, step: float) -> tuple[float, float]:
        """Return the objective after a step in the direction, and its derivative with respect to the step."""
        self._step = step
        constant, linear, square = self._penalty
        losses: list[Tensor] = []
        if self._keeps:
            slopes: list[Tensor] = []
            kept = zip(self._logits, self._ahead, self._residuals, self._data.chunks(), strict=True)
            for logits, ahead, residual, (_, targets) in kept:
                torch.add(logits, ahead, alpha=step, out=residual)
                losses.append(self._data.loss(residual, targets)[0])
                slopes.append(torch.dot(residual.view(-1), ahead.view(-1)))
            slope = torch.stack(slopes).sum() + (linear + 2 * step * square)
        else:
            self._gradient = self._sum(self._evaluated(self._trial(), losses))
            slope = torch.dot(self._gradient.view(-1), self._direction.view(-1))
        loss, end_slope = torch.stack([torch.stack(losses).sum(), slope]).tolist()
        return loss + constant + step * (linear + step * square), end_slope

    def move(self) -> Tensor:
        """Go to the last trial and return the gradient there, (C, D + 1) float32."""
        if self._keeps:
            for logits, ahead in zip(self._logits, self._ahead, strict=True):
                logits.add_(ahead, alpha=self._step)
            xs = (x for x, _ in self._data.chunks())
            self._gradient = self._sum(zip(xs, self._residuals, strict=True))
        self.theta = self._trial()
        return self._gradient

    def residuals(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield chunks of x (B, D) and of the loss's derivative with respect to the logits (C, B), at theta.

        Kept logits are computed again, since each move adds its rounding error to them.
        """
        weights = _weights(self.theta)
        for number, (x, targets) in enumerate(self._data.chunks()):
            logits = _logits(weights, x)
            if self._keeps:
                self._logits[number].copy_(logits)
            yield x, self._data.loss(logits, targets)[1]

    def _set_direction(self, direction: Tensor) -> None:
        self._direction = direction
        weight, ahead = self.theta[:, :-1], direction[:, :-1].double()
        products = [weight.square().sum() / 2, (weight * ahead).sum(), ahead.square().sum() / 2]
        self._penalty = [self._lambda * product for product in torch.stack(products).tolist()]  # its coefficients

    def _trial(self) -> Tensor:
        return self.theta.add(self._direction, alpha=self._step)

    def _evaluated(self, theta: Tensor, losses: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        weights = _weights(theta)
        for x, targets in self._data.chunks():
            loss, residual = self._data.loss(_logits(weights, x), targets)
            losses.append(loss)
            yield x, residual

    def _sum(self, residuals: Iterable[tuple[Tensor, Tensor]]) -> Tensor:
        """Return the gradient at the last trial."""
        gradient = self._lambda * self._trial()
        gradient[:, -1] = 0
        for x, residual in residuals:
            gradient[:, :-1] += residual @ x
            gradient[:, -1] += residual.sum(dim=1, dtype=torch.float64)
        self.passes += 1
        return gradient.float()


def _weights(theta: Tensor) -> tuple[Tensor, Tensor]:
    weight, bias = theta.float().split([theta.shape[1] - 1, 1], dim=1)
    return weight, bias


def _logits(weights: tuple[Tensor, Tensor], x: Tensor, out: Tensor | None = None) -> Tensor:
    weight, bias = weights
    return torch.addmm(bias, weight, x.T, out=out)
