"""Where the images that queries look for stand in a gallery: ranks that no order of adding changes, a tile at a time.

As in metrics/retrieval.py, features are rounded to multiples of 2^-26 and multiplied in float64, which rounds nothing,
so that equal rows tie exactly and no size of a tile changes a rank.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mlcd_eval.metrics.retrieval import fixed_point
from mlcd_eval.support.progress import Advance

if TYPE_CHECKING:
    from mlcd_eval.support.resident import Rows

_TILE = {"cpu": (256, 4096), "cuda": (1024, 1 << 15)}  # queries and rows of the gallery compared at a time
_NUMBERS = 1 << 22  # of features of links at a time


class Links(NamedTuple):
    """Pairs of a query and a row of the gallery that its truth names, (M,) int64 each, rising by query."""

    query: NDArray[np.int64]
    row: NDArray[np.int64]


@dataclass(frozen=True)
class Known:
    """Links with their similarities (M,) float64, and how many rows of the gallery are at least as similar to the
    query, the link's own included: (M,) int64. nearest: the similarity of each query's most similar row (Q,), -inf of
    those that were not compared."""

    links: Links
    similarity: NDArray[np.float64]
    at_least: NDArray[np.int64]
    nearest: NDArray[np.float64]


@torch.no_grad()
def compare(
    queries: Rows, gallery: Rows, links: Links, advance: Advance = lambda _: None, all_queries: bool = False
) -> Known:
    """Compare every query that has a link, or all of them, with the whole gallery, which is read once.

    queries (Q, D) and gallery (G, D): rows that are L2-normalised. advance: called with the number of rows of the
    gallery that were compared.
    """
    similarity = _similarities(queries, gallery, links)
    at_least, nearest = np.empty(len(similarity), np.int64), np.full(len(queries), -np.inf)
    order = np.lexsort((similarity, links.query))
    asked = np.arange(len(queries)) if all_queries else np.unique(links.query)
    begins, ends = (np.searchsorted(links.query, asked, side) for side in ("left", "right"))
    height, width = _TILE[queries.device.type]
    blocks = []
    for first in range(0, len(asked), height):
        of_query = [order[begin:end] for begin, end in zip(begins[first:], ends[first : first + height], strict=False)]
        blocks.append(_Block(asked[first : first + height], [similarity[part] for part in of_query], queries.device))
    for tile in gallery.chunks(width):
        exact = fixed_point(tile)
        for block in blocks:
            block.add(fixed_point(queries[block.queries]) @ exact.T)
        advance(len(tile))
    for block in blocks:
        nearest[block.queries] = block.nearest.cpu().numpy()
    if blocks:
        at_least[order] = np.concatenate([block.at_least() for block in blocks])
    return Known(links, similarity, at_least, nearest)


class _Block:
    """Some queries, with the similarities from which to count: a rising list for each."""

    def __init__(self, queries: NDArray[np.int64], thresholds: list[NDArray[np.float64]], device: torch.device) -> None:
        self.queries = queries
        longest = max(len(of_query) for of_query in thresholds)
        table = np.full((len(thresholds), longest), np.inf)
        self._is_used = np.arange(longest) < np.array([[len(of_query)] for of_query in thresholds])
        table[self._is_used] = np.concatenate(thresholds)
        self._thresholds = torch.tensor(table, device=device)
        self._reached = torch.zeros(len(table), longest + 1, dtype=torch.int64, device=device)
        self.nearest = torch.full((len(table),), -torch.inf, dtype=torch.float64, device=device)

    def add(self, similarities: torch.Tensor) -> None:
        """Count similarities (B, W) by the number of thresholds that they reach."""
        torch.maximum(self.nearest, similarities.amax(1), out=self.nearest)
        reached = torch.searchsorted(self._thresholds, similarities, right=True)
        self._reached.scatter_add_(1, reached, reached.new_ones(()).expand_as(reached))

    def at_least(self) -> NDArray[np.int64]:
        """How many reached each threshold, those of one query after those of another."""
        counts: NDArray[np.int64] = self._reached.flip(1).cumsum(1).flip(1)[:, 1:].cpu().numpy()
        return counts[self._is_used]


def _similarities(queries: Rows, gallery: Rows, links: Links) -> NDArray[np.float64]:
    step = max(1, _NUMBERS // queries.shape[1])
    parts = [slice(begin, begin + step) for begin in range(0, len(links.row), step)]
    products = [
        (fixed_point(queries[links.query[part]]) * fixed_point(gallery[links.row[part]])).sum(1).cpu().numpy()
        for part in parts
    ]
    return np.concatenate(products) if products else np.empty(0)


def ranks(known: Known, wanted: NDArray[np.bool_], ignored: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the 1-based ranks of the wanted links (K,), rising within each query, in a gallery without the ignored.

    wanted, ignored: (M,), which of the links are; none is both. A row that is not wanted and equally similar is ahead,
    so that a constant encoder finds nothing.
    """
    found = np.empty(len(wanted), np.int64)
    bounds = np.flatnonzero(np.diff(known.links.query, prepend=-1, append=-1))
    for begin, end in pairwise(bounds):
        of_query = slice(begin, end)
        is_wanted = wanted[of_query]
        order = np.argsort(-known.similarity[of_query][is_wanted], kind="stable")
        similarity = known.similarity[of_query][is_wanted][order]
        left_out = np.sort(known.similarity[of_query][ignored[of_query] | is_wanted])
        others = known.at_least[of_query][is_wanted][order] - (len(left_out) - np.searchsorted(left_out, similarity))
        found[np.flatnonzero(is_wanted) + begin] = others + np.arange(1, len(order) + 1)
    return found[wanted]
