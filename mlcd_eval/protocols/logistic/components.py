"""Features in the coordinates of their principal components."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

CHUNK = {"cpu": 1 << 18, "cuda": 1 << 26}  # numbers held at a time


def principal_components(features: np.ndarray, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """mean (D,), orthonormal basis (D, R), variance (R,), and the centred features in that basis (N, R) float32.

    R is the rank, at most N - 1: few samples make a small problem whatever the dimension. A rotation leaves the penalty
    as it is, and the intercept takes up the mean.
    """
    n, d = features.shape
    mean = sum(x.sum(dim=0) for x in chunks(features, d, device)) / n
    if n > d:
        covariance = torch.zeros(d, d, dtype=torch.float64, device=device)
        for x in chunks(features, d, device):
            x -= mean
            covariance.addmm_(x.T, x, alpha=1 / n)
        variance, basis = torch.linalg.eigh(covariance)
    else:
        x = torch.cat(list(chunks(features, d, device))) - mean
        _, singular, rows = torch.linalg.svd(x, full_matrices=False)
        variance, basis = singular.square() / n, rows.T
    keep = variance > 1e-12 * variance.max()
    variance, basis = variance[keep], basis[:, keep]
    rotated = torch.empty(n, len(variance), device=device)
    done = 0
    for x in chunks(features, d, device):
        rotated[done : done + len(x)] = (x - mean) @ basis
        done += len(x)
    return mean, basis, variance, rotated


def chunks(features: np.ndarray, width: int, device: torch.device) -> Iterator[Tensor]:
    """Rows of features (N, D) as float64 on the device, so many that `width` numbers each fit the chunk."""
    rows = max(1, CHUNK[device.type] // width)
    for begin in range(0, len(features), rows):
        yield torch.tensor(features[begin : begin + rows], device=device).double()
