"""A regression problem that is prepared once and fitted for many lambdas."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlcd_eval.protocols.classification.logistic.components import chunks, principal_components
from mlcd_eval.protocols.classification.logistic.lbfgs import InverseHessian
from mlcd_eval.protocols.classification.logistic.line import Data, Line
from mlcd_eval.protocols.classification.logistic.line_search import search
from mlcd_eval.protocols.classification.logistic.losses import sigmoid_loss, softmax_loss
from mlcd_eval.protocols.classification.logistic.preconditioner import preconditioner
from mlcd_eval.support.resident import Rows

PAIRS = 30  # L-BFGS pairs
GLANCE = 3e-2  # the gap at which a fit asks whether it is worth continuing
_BUDGET = 1 << 27  # numbers (0.5 GB) in a block of pairs: fewer pairs if C x D is very large
_CAUTION = 10  # the true excess is mostly 1 to 10 times the decrement, since the Hessian is approximate


@dataclass(frozen=True)
class Fit:
    """A solution, for features as given.

    weight (C, D), bias (C,): float64; the bias is -inf for a class without samples and +inf for a label that every
    sample has, the limits of the minimisation. objective: the minimised sum. gap: a cautious estimate of (objective -
    minimum) / objective. gradient_norm: Euclidean. iterations: passes over the data. converged: whether the tolerance
    was reached before the most iterations.
    """

    lambda_: float
    weight: Tensor
    bias: Tensor
    objective: float
    gap: float
    gradient_norm: float
    iterations: int
    converged: bool

    def scores(self, features: np.ndarray | Rows) -> Iterator[Tensor]:
        """Yield the logits of features (N, D), in order, in chunks (B, C) float64 on the device of the fit."""
        for x in chunks(_as_rows(features, self.weight.device), len(self.bias)):
            yield torch.addmm(self.bias, x, self.weight.T)


class LogisticProblem:
    """Data that is prepared once and fitted for many lambdas.

    features: (N, D), finite; the device is that of Rows, and `device` for an array. labels: for softmax (N,) class
    indices below num_classes, of at least two classes; for one-vs-rest (N, num_classes) of 0 and 1, with at least one
    column that is not constant. hard: see `preconditioner`.
    """

    def __init__(
        self,
        features: np.ndarray | Rows,
        labels: np.ndarray,
        num_classes: int,
        device: str = "cpu",
        hard: int | None = None,
    ) -> None:
        rows = _as_rows(features, torch.device(device))
        self.device = rows.device
        absent = np.full(num_classes, -np.inf)
        self._softmax, self._hard = labels.ndim == 1, hard
        if self._softmax:
            counts = np.bincount(labels, minlength=num_classes)
            classes = np.flatnonzero(counts)
            prior = np.log(counts[classes]) - np.log(counts[classes]).mean()
            self._chance = float(-(counts[classes] * np.log(counts[classes] / len(labels))).sum())
            targets: np.ndarray = np.searchsorted(classes, labels)[None]
        else:
            rate = labels.mean(axis=0, dtype=np.float64)
            absent[rate == 1] = np.inf
            classes = np.flatnonzero((rate > 0) & (rate < 1))
            on, off = rate[classes], 1 - rate[classes]
            prior = np.log(on / off)
            self._chance = float(-len(labels) * (on * np.log(on) + off * np.log(off)).sum())
            targets = 1 - 2 * labels.T[classes].astype(np.float32)
        self._classes, self._absent, self._prior = (
            torch.as_tensor(part, device=self.device) for part in (classes, absent, prior)
        )
        self._mean, self._basis, self._variance, x = principal_components(rows)
        loss = softmax_loss if self._softmax else sigmoid_loss
        self._data = Data(x, torch.as_tensor(targets, device=self.device), loss, len(classes))

    def fit(
        self,
        lambda_: float,
        start: tuple[Tensor, Tensor] | None = None,
        tolerance: float = 1e-6,
        max_iterations: int = 1000,
        worth: Callable[[Fit], bool] | None = None,
    ) -> Fit:
        """Minimise from `start` (weight, bias), or from the class frequencies. worth: called once, at a gap of GLANCE;
        decides whether to continue.

        The fit stops when the objective's excess over its minimum is at most `tolerance` of the objective, and of its
        distance below the objective of the class frequencies (which is all that W achieves for a large lambda). The
        excess is estimated as ten times the Newton decrement of the approximate Hessian, or as the bound by strong
        convexity (the duality gap) if that is smaller.
        """
        line = Line(self._data, self._parameters(start), lambda_)
        objective, _ = line.at(0.0)
        gradient, step = line.move(), 1.0
        pairs = InverseHessian(max(10, min(PAIRS, _BUDGET // gradient.numel())), gradient)
        built_at = math.inf  # the objective when the preconditioner was built

        def fitted() -> Fit:
            norm = math.sqrt(_dot(gradient, gradient))
            return Fit(lambda_, *self._expand(line.theta), objective, excess / objective, norm, line.passes, converged)

        while True:
            if pairs.full or objective < 0.5 * built_at:
                precondition, mass = preconditioner(
                    line.residuals(), self._data, self._variance, lambda_, self._softmax, self._hard
                )
                pairs.clear()
                built_at = objective
            newton_step = precondition(gradient)
            square = gradient.square()
            bound = (square[:, :-1].sum() / lambda_ + (square[:, -1] / mass).sum()).item() / 2
            decrement = _dot(gradient, newton_step)
            excess = min(bound, _CAUTION * decrement / 2) if decrement > 0 else bound  # not positive: only rounding
            scale = min(objective, self._chance - objective)
            converged = excess <= tolerance * scale + 1e-12 * objective
            if converged or line.passes >= max_iterations:
                return fitted()
            if worth is not None and excess <= GLANCE * scale:
                if not worth(fitted()):
                    return fitted()
                worth = None
            direction = pairs.direction(gradient, newton_step)
            if _dot(direction, gradient) >= 0:  # rounding has corrupted the pairs
                pairs.clear()
                direction = -newton_step
            line.aim(direction)
            # after a shortened step, the next one is mostly shortened too
            step, objective = search(line.at, objective, _dot(direction, gradient), min(1.0, 2 * step))
            before, gradient = gradient, line.move()
            pairs.append(direction.mul_(step), gradient - before)

    def _parameters(self, start: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return theta of a weight and bias, or without them the best one for uninformative features."""
        theta = torch.zeros(len(self._classes), len(self._variance) + 1, dtype=torch.float64, device=self.device)
        theta[:, -1] = self._prior
        if start is not None:
            weight, bias = (part[self._classes] for part in start)
            bias = bias + weight @ self._mean
            theta[:, :-1] = weight @ self._basis
            theta[:, -1] = torch.where(bias.isfinite(), bias, self._prior)
        return theta

    def _expand(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weight and bias of theta, for features as given and all classes."""
        weight = torch.zeros(len(self._absent), len(self._mean), dtype=torch.float64, device=self.device)
        bias = self._absent.clone()
        weight[self._classes] = theta[:, :-1] @ self._basis.T
        bias[self._classes] = theta[:, -1] - weight[self._classes] @ self._mean
        return weight, bias


def _as_rows(features: np.ndarray | Rows, device: torch.device) -> Rows:
    return features if isinstance(features, Rows) else Rows(features, device)


def _dot(a: Tensor, b: Tensor) -> float:
    return torch.dot(a.view(-1), b.view(-1)).item()
