"""An approximate inverse of the Hessian's diagonal blocks, one per class."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from mlcd_eval.protocols.classification.logistic.line import Data

HARD = 96  # K
_BUDGET = 1 << 27  # numbers (0.5 GB) for hard samples: fewer samples if C x D is very large
_DAMPING = 1e-4  # of the largest entry, so that a factor in float32 exists and the result stays positive


def preconditioner(
    residuals: Iterable[tuple[Tensor, Tensor]],
    data: Data,
    variance: Tensor,
    lambda_: float,
    softmax: bool,
    hard: int | None = None,
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """Return the map from gradient to step, both (C, D + 1), and each class's curvature (C,) summed over samples.

    A class's block of the Hessian is sum_i q_i [x_i; 1] [x_i; 1]^T + lambda with q = p (1 - p). It is exact for the K
    samples of largest q (Woodbury). The rest is their summed q times the covariance of the features, which is diagonal
    in principal components. Softmax does not depend on what all classes share, so that direction is removed from steps,
    which would otherwise drift along it.

    residuals: chunks of features (B, D) and of the loss's derivative with respect to the logits (C, B). variance (D,):
    of all features. hard: K, at most; None for HARD.
    """
    mass, largest, where = _hardest(residuals, data, hard or HARD)
    rest = torch.maximum(mass - largest.sum(dim=1, dtype=torch.float64), 1e-3 * mass)[:, None] + 1e-12
    scale = torch.cat([rest * variance + lambda_, rest], dim=1).rsqrt_().float()  # (C, D + 1)
    samples = torch.nn.functional.pad(data.x[where], (0, 1), value=1.0)  # (C, K, D + 1)
    samples *= largest.sqrt_()[:, :, None]
    samples *= scale[:, None]
    inner = samples @ samples.mT
    diagonal = inner.diagonal(dim1=1, dim2=2)
    diagonal += 1 + _DAMPING * diagonal.amax(dim=1, keepdim=True)
    identity = torch.eye(inner.shape[1], device=inner.device).expand_as(inner)
    # inverting the small factor and multiplying is 1.4 times as fast as solving for all columns
    factor = torch.linalg.solve_triangular(torch.linalg.cholesky(inner), identity, upper=False) @ samples

    def precondition(gradient: Tensor) -> Tensor:
        step = scale * gradient
        step -= (step[:, None] @ factor.mT @ factor)[:, 0]
        step *= scale
        return step - step.mean(dim=0) if softmax else step

    return precondition, mass + 1e-12


def _hardest(residuals: Iterable[tuple[Tensor, Tensor]], data: Data, most: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return, for each class, the sum of q (C,) in float64, the largest q (C, K), and their samples (C, K)."""
    c, device = data.num_classes, data.x.device
    hard = max(1, min(most, _BUDGET // (c * (data.x.shape[1] + 1))))
    mass = torch.zeros(c, dtype=torch.float64, device=device)
    largest = torch.zeros(c, 0, device=device)
    where = torch.zeros(c, 0, dtype=torch.int64, device=device)
    offset = 0
    for x, residual in residuals:
        q = residual.abs() * (1 - residual.abs())
        mass += q.sum(dim=1, dtype=torch.float64)
        top, rows = q.topk(min(hard, len(x)), dim=1)
        largest, where = torch.cat([largest, top], dim=1), torch.cat([where, rows + offset], dim=1)
        largest, keep = largest.topk(min(hard, largest.shape[1]), dim=1)
        where = where.gather(1, keep)
        offset += len(x)
    return mass, largest, where
