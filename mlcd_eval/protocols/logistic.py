"""L2-regularised logistic regression, softmax or one-vs-rest, by preconditioned L-BFGS on CPU or GPU.

Minimises  sum_i loss(W x_i + b, y_i) + lambda / 2 ||W||^2  over W (C, D) and b (C,); the intercept is not penalised.
scikit-learn's C is 1 / lambda (2 / lambda for two classes, where it has one row of weights in place of two).

Plain L-BFGS crawls on features, whose spectra span many decades, and for small lambda, where a few hard samples hold
all the curvature. Here its first matrix approximates the inverse of the Hessian's diagonal blocks, one a class: the
covariance common to all classes, which is diagonal in the coordinates used (principal components), plus the class's
own hardest samples (Woodbury). It is rebuilt, and the pairs forgotten, when these are full or the objective has halved.
Softmax does not see what is common to all classes; steps leave that direction out, or they would drift along it.

Features, logits, gradients and curvature are float32, sums over samples and parameters float64. Shapes: N samples, D
components, C classes, K hard samples a class; logits are (C, N), parameters theta (C, D + 1), the intercept last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mlcd_eval.protocols.lbfgs import InverseHessian, cubic_minimiser

PAIRS = 30  # L-BFGS pairs
HARD = 96  # K
GLANCE = 3e-2  # the gap at which a fit asks whether it is worth going on
_BUDGET = 1 << 27  # numbers (1 GB) in a block of pairs or hard samples: fewer of them for a very large C x D
_CHUNK = {"cpu": 1 << 18, "cuda": 1 << 26}  # logits held at a time
_CAUTION = 10  # the decrement mostly falls short of the true excess by 1 to 10 times, the Hessian being approximate
_DAMPING = 1e-5  # of the largest entry: a Gram matrix of float32 so damped has a Cholesky factor in float32
_ROUNDING = 1e-5  # of the objective, relative: float32 logits of some hundreds
_TINY = -60.0  # smallest logit kept: smaller ones make subnormal numbers, which are slow, and change nothing


@dataclass(frozen=True)
class Fit:
    """A solution, for features as given.

    weight (C, D), bias (C,), float64: -inf for a class without a sample, the limit of the minimisation (+inf for a
    label that every sample has); objective: the minimised sum; gap: cautious estimate of (objective - minimum) /
    objective; gradient_norm: Euclidean; iterations: passes over the data; converged: before the cap on them.
    """

    lambda_: float
    weight: Tensor
    bias: Tensor
    objective: float
    gap: float
    gradient_norm: float
    iterations: int
    converged: bool

    def scores(self, features: np.ndarray) -> Iterator[np.ndarray]:
        """Logits of features (N, D), in order, as chunks (B, C) float64."""
        for x in _chunks(features, len(self.bias), self.weight.device):
            yield torch.addmm(self.bias, x, self.weight.T).cpu().numpy()


class LogisticProblem:
    """Data prepared once, to be fitted for many lambdas.

    features (N, D), finite; labels: (N,) class indices below num_classes for softmax, of at least two classes, or
    (N, num_classes) of 0 and 1 for one-vs-rest, at least one column not constant.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, num_classes: int, device: str = "cpu") -> None:
        self.device = torch.device(device)
        absent = np.full(num_classes, -np.inf)
        self._softmax = labels.ndim == 1
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
        self._classes, self._absent, self._prior, self._targets = (
            torch.as_tensor(part, device=self.device) for part in (classes, absent, prior, targets)
        )
        self._mean, self._basis, self._variance, self._x = principal_components(features, self.device)
        self._rows = max(1, _CHUNK[self.device.type] // len(classes))

    def fit(
        self,
        lambda_: float,
        start: tuple[Tensor, Tensor] | None = None,
        tolerance: float = 1e-6,
        max_iterations: int = 1000,
        worth: Callable[[Fit], bool] | None = None,
    ) -> Fit:
        """Minimise from `start` (weight, bias), or from the class frequencies. worth: asked once, at a gap of GLANCE,
        whether to go on.

        Stops when the objective's excess over its minimum is at most `tolerance` of the objective, and of what it is
        below that of the class frequencies (for a large lambda, all that W does). The excess is taken to be ten times
        the Newton decrement of the approximate Hessian, or the bound by strong convexity (the duality gap) if less.
        """
        theta = self._parameters(start)
        objective, gradient = self._evaluate(theta, lambda_)
        iterations, step = 1, 1.0
        pairs = InverseHessian(max(10, min(PAIRS, _BUDGET // theta.numel())), gradient)
        built_at = math.inf  # the objective when the preconditioner was built

        def fitted() -> Fit:
            norm = math.sqrt(_dot(gradient, gradient))
            return Fit(lambda_, *self._expand(theta), objective, excess / objective, norm, iterations, converged)

        while True:
            if pairs.full or objective < 0.5 * built_at:
                precondition, mass = self._preconditioner(theta, lambda_)
                pairs.clear()
                built_at = objective
            newton_step = precondition(gradient)
            square = gradient.square()
            bound = (square[:, :-1].sum() / lambda_ + (square[:, -1] / mass).sum()).item() / 2
            excess = min(bound, _CAUTION * _dot(gradient, newton_step) / 2)
            scale = min(objective, self._chance - objective)
            converged = excess <= tolerance * scale + 1e-12 * objective
            if converged or iterations >= max_iterations:
                return fitted()
            if worth is not None and excess <= GLANCE * scale:
                if not worth(fitted()):
                    return fitted()
                worth = None
            direction = pairs.direction(gradient, newton_step)
            slope = _dot(direction, gradient)
            if slope >= 0:  # rounding has spoilt the pairs
                pairs.clear()
                iterations += 1
                continue
            step = min(1.0, 2 * step)  # where steps are cut, the next ones mostly are too
            while True:
                trial = theta.add(direction, alpha=step)
                value, trial_gradient = self._evaluate(trial, lambda_)
                iterations += 1
                end_slope = _dot(direction, trial_gradient)
                # the second test is for a change that rounding hides (Hager & Zhang 2005, approximate Wolfe)
                enough = value <= objective + 1e-4 * step * slope or (
                    value <= objective * (1 + _ROUNDING) and end_slope <= -0.8 * slope
                )
                if enough or iterations >= max_iterations:
                    break
                step = min(max(cubic_minimiser(step, objective, value, slope, end_slope), 0.05 * step), 0.5 * step)
            if enough:
                pairs.append(direction.mul_(step), trial_gradient - gradient)
                theta, objective, gradient = trial, value, trial_gradient

    def _parameters(self, start: tuple[Tensor, Tensor] | None) -> Tensor:
        """theta of a weight and bias; without them, the best for features that say nothing."""
        theta = torch.zeros(len(self._classes), len(self._variance) + 1, dtype=torch.float64, device=self.device)
        theta[:, -1] = self._prior
        if start is not None:
            weight, bias = (part[self._classes] for part in start)
            bias = bias + weight @ self._mean
            theta[:, :-1] = weight @ self._basis
            theta[:, -1] = torch.where(bias.isfinite(), bias, self._prior)
        return theta

    def _expand(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """weight and bias of theta: for features as given, and all classes."""
        weight = torch.zeros(len(self._absent), len(self._mean), dtype=torch.float64, device=self.device)
        bias = self._absent.clone()
        weight[self._classes] = theta[:, :-1] @ self._basis.T
        bias[self._classes] = theta[:, -1] - weight[self._classes] @ self._mean
        return weight, bias

    def _residuals(self, theta: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """By chunks: x (B, D), the summed loss, and its derivative by the logits (C, B)."""
        loss = softmax_loss if self._softmax else sigmoid_loss
        weight, bias = theta.float().split([theta.shape[1] - 1, 1], dim=1)
        for begin in range(0, len(self._x), self._rows):
            rows = slice(begin, begin + self._rows)
            x = self._x[rows]
            yield x, *loss(torch.addmm(bias, weight, x.T), self._targets[:, rows])

    def _evaluate(self, theta: Tensor, lambda_: float) -> tuple[float, Tensor]:
        """Objective and gradient (C, D + 1) float32."""
        gradient = lambda_ * theta
        gradient[:, -1] = 0
        objective = torch.dot(theta.view(-1), gradient.view(-1)) / 2
        for x, loss, residual in self._residuals(theta):
            objective += loss
            gradient[:, :-1] += residual @ x
            gradient[:, -1] += residual.sum(dim=1, dtype=torch.float64)
        return objective.item(), gradient.float()

    def _preconditioner(self, theta: Tensor, lambda_: float) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """The map from gradient to step, both (C, D + 1), and each class's curvature (C,) summed over samples.

        A class's block of the Hessian is sum_i q_i [x_i; 1] [x_i; 1]^T + lambda with q = p (1 - p): taken as it is for
        the K samples of largest q, and as their mass times the covariance of the features for the rest.
        """
        hard = max(1, min(HARD, _BUDGET // theta.numel()))
        mass = torch.zeros(len(theta), dtype=torch.float64, device=self.device)
        largest = torch.zeros(len(theta), 0, device=self.device)
        where = torch.zeros(len(theta), 0, dtype=torch.int64, device=self.device)
        offset = 0
        for x, _, residual in self._residuals(theta):
            q = residual.abs() * (1 - residual.abs())
            mass += q.sum(dim=1, dtype=torch.float64)
            top, rows = q.topk(min(hard, len(x)), dim=1)
            largest, where = torch.cat([largest, top], dim=1), torch.cat([where, rows + offset], dim=1)
            largest, keep = largest.topk(min(hard, largest.shape[1]), dim=1)
            where = where.gather(1, keep)
            offset += len(x)
        rest = torch.maximum(mass - largest.sum(dim=1, dtype=torch.float64), 1e-3 * mass)[:, None] + 1e-12
        scale = torch.cat([rest * self._variance + lambda_, rest], dim=1).rsqrt_().float()  # (C, D + 1)
        samples = torch.nn.functional.pad(self._x[where], (0, 1), value=1.0)  # (C, K, D + 1)
        samples *= largest.sqrt_()[:, :, None]
        samples *= scale[:, None]
        inner = samples @ samples.mT
        diagonal = inner.diagonal(dim1=1, dim2=2)
        diagonal += 1 + _DAMPING * diagonal.amax(dim=1, keepdim=True)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(inner))

        def precondition(gradient: Tensor) -> Tensor:
            step = scale * gradient
            step -= (step[:, None] @ samples.mT @ inverse @ samples)[:, 0]
            step *= scale
            return step - step.mean(dim=0) if self._softmax else step

        return precondition, mass + 1e-12


def _dot(a: Tensor, b: Tensor) -> float:
    return torch.dot(a.view(-1), b.view(-1)).item()


class Path:
    """Fits of one problem for one lambda after another, each started from those before it."""

    def __init__(self, problem: LogisticProblem, tolerance: float, max_iterations: int) -> None:
        self.problem, self.tolerance, self.max_iterations = problem, tolerance, max_iterations
        self.fits: list[Fit] = []

    def fit(self, lambda_: float, worth: Callable[[Fit], bool] | None = None) -> Fit:
        """Starts on the line through the two nearest solutions: in log lambda the solution is nearly straight between
        them, and beyond them where the classes are separable."""
        start = None
        near = sorted(self.fits, key=lambda fit: abs(math.log(fit.lambda_ / lambda_)))[:2]
        if near:
            a, b = near[0], near[-1]
            t = math.log(lambda_ / a.lambda_) / math.log(b.lambda_ / a.lambda_) if a is not b else 0.0
            start = torch.lerp(a.weight, b.weight, t), torch.lerp(a.bias, b.bias, t)
        self.fits.append(self.problem.fit(lambda_, start, self.tolerance, self.max_iterations, worth))
        return self.fits[-1]


def softmax_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy of logits (C, B), overwritten, and labels (1, B): its sum, and probability - one-hot (C, B).

    The true class's residual is minus the sum of the others, and the loss goes through log1p, so that float32 keeps
    its relative precision where the probability is 1 but for rounding.
    """
    top = logits.amax(dim=0, keepdim=True)
    behind = top - logits.gather(0, labels)
    powers = logits.sub_(top).clamp_(min=_TINY).exp_()
    true = powers.gather(0, labels)
    powers.scatter_(0, labels, 0.0)
    others = powers.sum(dim=0, keepdim=True)
    loss = behind + torch.log1p(others + (true - 1))
    total = others + true
    return loss.sum(dtype=torch.float64), powers.div_(total).scatter_(0, labels, -others / total)


def sigmoid_loss(logits: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross entropy of logits (C, B), overwritten, and signs (C, B), -1 where the label holds and 1 where not:
    its sum, and probability - label (C, B)."""
    margins = logits.mul_(signs).clamp_(min=_TINY)
    loss = margins.clamp(min=0) + torch.log1p(torch.exp(-margins.abs()))
    return loss.sum(dtype=torch.float64), margins.sigmoid_().mul_(signs)


def principal_components(features: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """mean (D,), orthonormal basis (D, R), variance (R,), and the centred features in that basis (N, R) float32.

    R is the rank, at most N - 1: few samples make a small problem whatever the dimension. A rotation leaves the penalty
    as it is, and the intercept takes up the mean.
    """
    n, d = features.shape
    mean = sum(x.sum(dim=0) for x in _chunks(features, d, device)) / n
    if n > d:
        covariance = torch.zeros(d, d, dtype=torch.float64, device=device)
        for x in _chunks(features, d, device):
            x -= mean
            covariance.addmm_(x.T, x, alpha=1 / n)
        variance, basis = torch.linalg.eigh(covariance)
    else:
        x = torch.cat(list(_chunks(features, d, device))) - mean
        _, singular, rows = torch.linalg.svd(x, full_matrices=False)
        variance, basis = singular.square() / n, rows.T
    keep = variance > 1e-12 * variance.max()
    variance, basis = variance[keep], basis[:, keep]
    rotated = torch.empty(n, len(variance), device=device)
    done = 0
    for x in _chunks(features, d, device):
        rotated[done : done + len(x)] = (x - mean) @ basis
        done += len(x)
    return mean, basis, variance, rotated


def _chunks(features: np.ndarray, width: int, device: torch.device) -> Iterator[Tensor]:
    """Rows of features (N, D) as float64 on the device, so many that `width` numbers each fit the chunk."""
    rows = max(1, _CHUNK[device.type] // width)
    for begin in range(0, len(features), rows):
        yield torch.tensor(features[begin : begin + rows], device=device).double()
