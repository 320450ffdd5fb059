"""The nearest of many centres: compared with all of them, or with those in the nearest groups of centres."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mlcd_train.products import Products, product

CELLS = 1 << 28  # similarities held at a time: 1 GiB, whatever the number of centres
CACHED = 1 << 22  # the same on a CPU: 16 MiB stay in its cache (1.8 times as fast), but never fewer than 256 rows
PROBES = 16  # groups that a row is compared with
ROUNDS = 5  # of k-means that make the groups

Search = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Unit rows (n, D) -> similarity (n,) and index (n,) of the most similar centre of each."""


def exact(centres: Tensor, products: Products) -> Search:
    """Compare rows with all unit centres (k, D); of equal ones the lowest is found."""
    rows = max(1, CELLS // len(centres))
    if centres.device.type == "cpu":
        rows = min(rows, max(256, CACHED // len(centres)))

    def search(x: Tensor) -> tuple[Tensor, Tensor]:
        nearest = [product(part, centres, products).max(dim=1) for part in x.split(rows)]
        return torch.cat([part.values for part in nearest]), torch.cat([part.indices for part in nearest])

    return search


def grouped(centres: Tensor, products: Products) -> Search:
    """Compare rows with the centres of the PROBES nearest groups out of sqrt(k), an inverted index: of k = 1,000,000
    centres a row sees 1.6%. What is found may not be the nearest."""
    groups = math.isqrt(len(centres))
    heads = centres[:: max(1, len(centres) // groups)][:groups]
    for _ in range(ROUNDS):
        _, group = exact(heads, products)(centres)
        sums = torch.zeros_like(heads).index_add_(0, group, centres)
        filled = torch.bincount(group, minlength=groups)[:, None] > 0
        heads = torch.where(filled, normalize(sums, dim=1), heads)
    _, group = exact(heads, products)(centres)
    members = group.argsort(stable=True)
    ends = torch.bincount(group, minlength=groups).cumsum(0).tolist()
    probes = min(PROBES, groups)
    sorted_centres = centres[members]

    def search(x: Tensor) -> tuple[Tensor, Tensor]:
        near = product(x, heads, products).topk(probes, dim=1).indices.flatten()
        asking = near.argsort(stable=True) // probes  # rows by the group that they ask
        asking_ends = torch.bincount(near, minlength=groups).cumsum(0).tolist()
        best = torch.full((len(x),), -torch.inf, device=x.device)
        index = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        first = first_row = 0
        for end, end_row in zip(ends, asking_ends, strict=True):
            rows = asking[first_row:end_row]
            if end > first and len(rows):
                similarity, place = product(x[rows], sorted_centres[first:end], products).max(dim=1)
                better = similarity > best[rows]
                best[rows] = torch.where(better, similarity, best[rows])
                index[rows] = torch.where(better, members[first + place], index[rows])
            first, first_row = end, end_row
        return best, index

    return search
