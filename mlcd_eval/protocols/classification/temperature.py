"""Log-loss of logits after temperature scaling (Guo et al. 2017), which changes no prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LEAST, MOST = 1e-3, 1e3  # of a temperature
_PRECISION = 1e-6  # of its logarithm
_STEPS = 50
FINITE = 1e30  # what an infinite logit becomes: its probability is 0 or 1 all the same


def log_losses(logits: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the loss (N,) of each row of finite logits (N, C): cross entropy for labels (N,), for labels (N, C) of 0
    and 1 the sum of the labels' binary ones."""
    import torch

    if labels.ndim == 1:
        return torch.nn.functional.cross_entropy(logits / temperature, labels, reduction="none")
    return torch.nn.functional.softplus(_margins(logits, labels) / temperature).sum(dim=1)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature of least mean loss, between LEAST and MOST.

    logits (N, C) float64, finite; labels as in `log_losses`. By Newton's method in the inverse temperature, of which
    the loss is convex, and bisection where that leaves the bracket.
    """
    low, high, inverse = 1 / MOST, 1 / LEAST, 1.0
    for _ in range(_STEPS):
        slope, curvature = _derivatives(logits, labels, inverse)
        if slope == 0:  # of equal logits at every temperature
            return 1 / inverse
        low, high = (inverse, high) if slope < 0 else (low, inverse)
        step = inverse - slope / curvature if curvature > 0 else 0.0
        after = step if low < step < high else (low * high) ** 0.5
        if abs(after - inverse) <= _PRECISION * inverse:
            return 1 / after
        inverse = after
    return 1 / inverse


def _derivatives(logits: Tensor, labels: Tensor, inverse: float) -> tuple[float, float]:
    """Return the first two derivatives of the summed loss with respect to the inverse temperature."""
    import torch

    if labels.ndim == 1:
        p = torch.softmax(inverse * logits, dim=1)
        mean = (p * logits).sum(dim=1)
        slope = mean - logits.gather(1, labels[:, None])[:, 0]
        curvature = (p * (logits - mean[:, None]).square()).sum(dim=1)
    else:
        margins = _margins(logits, labels)
        p = torch.sigmoid(inverse * margins)
        slope, curvature = p * margins, p * (1 - p) * margins.square()
    first, second = torch.stack([slope.sum(), curvature.sum()]).tolist()
    return first, second


def _margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Return logits whose sign is that of a wrong answer."""
    import torch

    return torch.where(labels == 1, -logits, logits)
