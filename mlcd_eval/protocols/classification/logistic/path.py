"""A path of fits for several lambdas."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from mlcd_eval.protocols.classification.logistic.problem import Fit, LogisticProblem


class Path:
    """Fits of one problem for several lambdas in turn, each started from the earlier ones."""

    def __init__(self, problem: LogisticProblem, tolerance: float, max_iterations: int) -> None:
        self.problem, self.tolerance, self.max_iterations = problem, tolerance, max_iterations
        self.fits: list[Fit] = []

    def fit(self, lambda_: float, worth: Callable[[Fit], bool] | None = None) -> Fit:
        """Fit one more lambda, starting on the line through the two nearest solutions: in log lambda, solutions are
        nearly linear between them, and beyond them if the classes are separable."""
        start = None
        near = sorted(self.fits, key=lambda fit: abs(math.log(fit.lambda_ / lambda_)))[:2]
        if near:
            a, b = near[0], near[-1]
            t = math.log(lambda_ / a.lambda_) / math.log(b.lambda_ / a.lambda_) if a is not b else 0.0
            start = torch.lerp(a.weight, b.weight, t), torch.lerp(a.bias, b.bias, t)
        self.fits.append(self.problem.fit(lambda_, start, self.tolerance, self.max_iterations, worth))
        return self.fits[-1]
