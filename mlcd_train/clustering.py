"""Spherical k-means: step 1 of MLCD (and of UNICOM), over off-the-shelf features.

Rows are normalised as they are read, in chunks, so that a memory-mapped array of any size can be clustered. Under
torch.distributed each rank holds its own rows; centres, inertia and every decision are the same on all ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.distributed as dist
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_eval.support.distributed import parallel, rank
from mlcd_eval.support.fileio import atomic_write
from mlcd_eval.support.resident import Rows
from mlcd_train.distributed import gather
from mlcd_train.products import Products
from mlcd_train.search import Search, exact, grouped

ROWS = 1 << 14  # read at a time
BLOCK = 256  # rows at most that mini-batches read from one place
PLUS_PLUS = 10**10  # similarities that k-means++ may take, whose centres come one after another
KEPT = 0.1  # weight of earlier passes in a pass of mini-batches: at 0 its first batch alone would make the centres


@dataclass(frozen=True)
class Clusters:
    """centres (k, D): unit rows. assignment (N,) int64: the most similar final centre of each of this rank's rows, the
    lowest of equals. inertia: mean of 1 - cosine over all rows, before each update and at the end."""

    centres: Tensor
    assignment: Tensor
    inertia: tuple[float, ...]


@exact_fp32()
def spherical_kmeans(
    features: np.ndarray | Tensor,
    k: int,
    generator: torch.Generator,
    *,
    iterations: int = 20,
    tolerance: float = 1e-4,
    start: Literal["sample", "k-means++"] = "sample",
    batch: int | None = None,
    device: str = "cpu",
    products: Products = "fp32",
    search: Literal["exact", "grouped"] = "exact",
    advance: Callable[[int], None] = lambda _: None,
) -> Clusters:
    """Cluster features (N, D), not necessarily normalised, into k centres.

    Stops after `iterations`, or when the inertia falls by less than a fraction `tolerance`. An empty cluster restarts
    at the row that is least similar to its centre. batch: mini-batch k-means (Sculley 2010), `iterations` passes in
    batches of `batch` random rows, where a centre is the mean of all rows assigned to it so far. Each pass reduces the
    weight of earlier rows to a tenth, since their assignment is out of date. generator (CPU): the same on every rank.
    products: of rows and centres; sums are fp32. search: for the nearest centre, among all, or by groups of centres.
    advance: called with 1 after each iteration. Raises ConfigError for k > N and for a k-means++ that would not end,
    DataError for rows that are zero or not finite.
    """
    finder = partial(exact if search == "exact" else grouped, products=products)
    rows = _Rows(features, torch.device(device), finder)
    if not 1 <= k <= rows.total:
        raise ConfigError(f"k-means: got k = {k}, expected 1 to {rows.total}, the number of rows")
    check_start(start, k, rows.total)
    centres = _sample(rows, k, generator) if start == "sample" else _plus_plus(rows, k, generator)
    inertia: list[float] = []
    if batch is not None:
        centres = _mini_batches(rows, centres, iterations, batch, generator, advance)
    else:
        for _ in range(iterations):
            sums, counts, similarity, _ = _assign(rows, centres)
            inertia.append(_inertia(rows, similarity))
            advance(1)
            if len(inertia) > 1 and inertia[-2] - inertia[-1] <= tolerance * inertia[-2]:
                break
            centres = _directions(sums, counts, centres)
            empty = (counts == 0).nonzero().squeeze(1)
            if len(empty):
                centres[empty] = _worst_served(rows, similarity, len(empty))
    _, _, similarity, assignment = _assign(rows, centres)
    return Clusters(centres, assignment, (*inertia, _inertia(rows, similarity)))


def check_start(start: str, k: int, rows: int) -> None:
    """Raise ConfigError for a k-means++ that would not end: each of its k centres takes a pass over all rows."""
    if start == "k-means++" and k * rows > PLUS_PLUS:
        raise ConfigError(
            f"cluster.start: k-means++ reads all rows for each centre: got {k:,} centres x {rows:,} rows, expected "
            f"at most {PLUS_PLUS:,} similarities (or start: sample)"
        )


def save_centres(path: Path, centres: Tensor) -> None:
    """Centres (k, D) as one safetensors file."""
    with atomic_write(path) as file:
        file.write(save({"centres": centres.detach().cpu().contiguous()}))


def load_centres(path: Path) -> Tensor:
    """Centres (k, D) from a file of `save_centres`; raises DataError if it is missing or damaged."""
    try:
        return load_file(path)["centres"]
    except (OSError, SafetensorError, KeyError) as error:
        raise DataError(f"{path} holds no class centres: {error} (run `mlcd-train cluster`)") from error


class _Rows:
    """This rank's rows, normalised as they are read, and their position among all ranks' rows."""

    def __init__(self, features: np.ndarray | Tensor, device: torch.device, search: Callable[[Tensor], Search]) -> None:
        self.search = search
        self._rows, self._dim = Rows(features, device, _unit), features.shape[1]
        self.device = device
        self.count = len(features)
        sizes = gather(torch.tensor([self.count], device=device)).tolist()
        self.total = sum(sizes)
        self.offset = sum(sizes[: rank()])

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        """(n, D) float32 unit rows on the device; an index is of the host."""
        return self._rows[index]

    def chunks(self) -> Iterator[tuple[slice, Tensor]]:
        """Yield all rows in order, with their positions among this rank's."""
        begin = 0
        for rows in self._rows.chunks(ROWS):
            yield slice(begin, begin + len(rows)), rows
            begin += len(rows)

    def everywhere(self, index: Tensor) -> Tensor:
        """Return the rows at these positions among all ranks' rows, on every rank."""
        mine = (index >= self.offset) & (index < self.offset + self.count)
        rows = torch.zeros(len(index), self._dim, device=self.device)
        if mine.any():
            rows[mine.to(self.device)] = self[index[mine] - self.offset]
        return self.summed(rows)

    def summed(self, tensor: Tensor) -> Tensor:
        """Sum over ranks, in place."""
        if parallel():
            dist.all_reduce(tensor)
        return tensor


def _unit(rows: Tensor) -> Tensor:
    """Return rows (n, D) as float32 of unit length; raises DataError for rows without a direction."""
    rows = rows.float()
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    wrong = (~norms.isfinite() | (norms == 0)).squeeze(1)
    if wrong.any():
        raise DataError(
            f"k-means: {int(wrong.sum())} of {len(rows)} feature rows are zero or not finite, expected directions"
        )
    return rows / norms


def _assign(rows: _Rows, centres: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sums (k, D) and counts (k,) over all ranks; similarity (n,) and assignment (n,) of this rank's rows."""
    sums, counts = torch.zeros_like(centres), torch.zeros(len(centres), device=rows.device)
    similarity = torch.empty(rows.count, device=rows.device)
    assignment = torch.empty(rows.count, dtype=torch.int64, device=rows.device)
    nearest = rows.search(centres)
    for part, x in rows.chunks():
        similarity[part], assignment[part] = nearest(x)
        sums.index_add_(0, assignment[part], x)
        counts += torch.bincount(assignment[part], minlength=len(centres))
    return rows.summed(sums), rows.summed(counts), similarity, assignment


def _inertia(rows: _Rows, similarity: Tensor) -> float:
    return float(rows.summed((1 - similarity).sum(dtype=torch.float64))) / rows.total


def _sample(rows: _Rows, k: int, generator: torch.Generator) -> Tensor:
    """Return k different rows out of all."""
    return rows.everywhere(torch.randperm(rows.total, generator=generator)[:k])


def _plus_plus(rows: _Rows, k: int, generator: torch.Generator) -> Tensor:
    """k-means++ (Arthur & Vassilvitskii 2007): each next centre is a row drawn with probability proportional to its
    squared distance, 2 - 2 cosine, from the nearest centre so far."""
    centres = rows.everywhere(torch.randint(rows.total, (1,), generator=generator))
    distance = torch.full((rows.count,), torch.inf, device=rows.device)
    for _ in range(k - 1):
        for part, x in rows.chunks():
            distance[part] = torch.minimum(distance[part], (1 - x @ centres[-1]).clamp_min(0))
        distances = torch.zeros(rows.total, dtype=torch.float64, device=rows.device)
        distances[rows.offset : rows.offset + rows.count] = distance.double()
        cumulative = rows.summed(distances).cpu().cumsum(0)  # on a GPU the order of its sums would be open
        point = torch.rand(1, generator=generator, dtype=torch.float64) * cumulative[-1]
        chosen = torch.searchsorted(cumulative, point, right=True).clamp_max(rows.total - 1)
        centres = torch.cat([centres, rows.everywhere(chosen)])
    return centres


def _worst_served(rows: _Rows, similarity: Tensor, count: int) -> Tensor:
    """The `count` rows out of all that are least similar to their centres, the lowest of equals first."""
    similarities = torch.zeros(rows.total, device=rows.device)
    similarities[rows.offset : rows.offset + rows.count] = similarity
    return rows.everywhere(rows.summed(similarities).argsort(stable=True)[:count].cpu())


def _directions(sums: Tensor, counts: Tensor, centres: Tensor) -> Tensor:
    """Unit rows in the direction of the sums; a centre without rows, or whose rows cancel out, is kept."""
    norms = torch.linalg.vector_norm(sums, dim=1, keepdim=True)
    return torch.where(norms > 1e-6 * counts[:, None], sums / norms, centres)


def _shuffled_blocks(rows: int, batch: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of row numbers, each of at least 64 blocks of consecutive rows from anywhere, so that an array on disk is
    not read row by row. Every row comes once."""
    block = max(1, min(BLOCK, batch // 64))
    order = torch.randperm(-(-rows // block), generator=generator)
    for begins in order.split(batch // block):
        index = (begins[:, None] * block + torch.arange(block)).flatten()
        yield index[index < rows]


def _mini_batches(
    rows: _Rows, centres: Tensor, passes: int, batch: int, generator: torch.Generator, advance: Callable[[int], None]
) -> Tensor:
    sums, counts = torch.zeros_like(centres), torch.zeros(len(centres), device=rows.device)
    similarity = torch.empty(rows.count, device=rows.device)
    for _ in range(passes):
        sums, counts = KEPT * sums, KEPT * counts
        before = counts
        for index in _shuffled_blocks(rows.total, batch, generator):
            mine = index[(index >= rows.offset) & (index < rows.offset + rows.count)].sort().values - rows.offset
            new_sums, new_counts = torch.zeros_like(sums), torch.zeros_like(counts)
            if len(mine):
                x = rows[mine]
                similarity[mine.to(rows.device)], nearest = rows.search(centres)(x)
                new_sums.index_add_(0, nearest, x)
                new_counts += torch.bincount(nearest, minlength=len(centres))
            sums, counts = sums + rows.summed(new_sums), counts + rows.summed(new_counts)
            centres = _directions(sums, counts, centres)
        empty = (counts == before).nonzero().squeeze(1)
        if len(empty):
            centres[empty] = _worst_served(rows, similarity, len(empty))
            sums[empty], counts[empty] = 0, 0
        advance(1)
    return centres
