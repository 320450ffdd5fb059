"""Features in the coordinates of their principal components."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mlcd_eval.support.resident import Rows

CHUNK = {"cpu": 1 << 18, "cuda": 1 << 26}  # numbers held at a time
RESOLVED = 1e-12  # of the largest variance: smaller ones are imprecise in the covariance of all directions
LEAST = 1e-18  # of the largest variance: rounding of the larger ones leaves about 1e-20 in the other directions


def principal_components(features: Rows) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return mean (D,), orthonormal basis (D, R), variance (R,), and the centred features in that basis (N, R) float32.

    R is the rank, at most N - 1, so that few samples make a small problem whatever the dimension. A rotation does not
    change the penalty, and the intercept absorbs the mean. A direction is kept if its standard deviation is above 1e-9
    of the largest; below that it may be rounding.
    """
    n, d = features.shape
    mean = torch.zeros(d, dtype=torch.float64, device=features.device)
    for x in chunks(features, d):
        mean += x.sum(dim=0)
    mean /= n
    if n > d:
        variance, basis = torch.linalg.eigh(_covariance(features, mean))
        small = variance < RESOLVED * variance.max()
        if small.any():  # their rounding errors come from the large ones: decomposed again without those
            variance[small], within = torch.linalg.eigh(_covariance(features, mean, basis[:, small]))
            basis[:, small] = basis[:, small] @ within
    else:
        x = torch.cat(list(chunks(features, d))) - mean
        _, singular, rows = torch.linalg.svd(x, full_matrices=False)
        variance, basis = singular.square() / n, rows.T
    rounding = max(n, d) * torch.finfo(mean.dtype).eps * mean.abs().max()  # of a constant column less its mean
    keep = variance > torch.maximum(LEAST * variance.max(), rounding.square())
    variance, basis = variance[keep], basis[:, keep]
    rotated = torch.empty(n, len(variance), device=mean.device)
    done = 0
    for x in chunks(features, d):
        rotated[done : done + len(x)] = (x - mean) @ basis
        done += len(x)
    return mean, basis, variance, rotated


def _covariance(features: Rows, mean: Tensor, basis: Tensor | None = None) -> Tensor:
    """Return the covariance of features (D, D), or of their coordinates in basis (D, K), which is (K, K)."""
    k = len(mean) if basis is None else basis.shape[1]
    covariance = torch.zeros(k, k, dtype=torch.float64, device=mean.device)
    for x in chunks(features, len(mean)):
        x -= mean
        if basis is not None:
            x = x @ basis
        covariance.addmm_(x.T, x, alpha=1 / len(features))
    return covariance


def chunks(features: Rows, width: int) -> Iterator[Tensor]:
    """Yield new float64 rows of features (N, D), as many as fit a chunk with `width` numbers per row."""
    for rows in features.chunks(max(1, CHUNK[features.device.type] // width)):
        yield rows.to(torch.float64, copy=True)
