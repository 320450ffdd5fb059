"""Scores of a ranking that a query has several right answers in, as trec_eval defines them (ndcg_cut, map_cut, recall).

ranks: (N, M), the 1-based places of each query's right answers, rising, with infinity where it has fewer than M. Every
query has at least one. Each function returns (N,).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ranks = NDArray[np.float64]


def padded(ranks: Sequence[Sequence[int]] | NDArray[Any]) -> Ranks:
    """Return lists of places as one array."""
    lengths = np.array([len(of_query) for of_query in ranks])
    array = np.full((len(ranks), lengths.max(initial=1)), np.inf)
    array[np.arange(array.shape[1]) < lengths[:, None]] = np.fromiter((r for of in ranks for r in sorted(of)), float)
    return array


def ndcg(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Return the normalised discounted cumulative gain of the K best (Jarvelin & Kekalainen 2002), gains being 1."""
    gain = np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0).sum(axis=1)
    ideal = np.cumsum(1 / np.log2(2 + np.arange(k)))
    share: NDArray[np.float64] = gain / ideal[np.minimum(_number(ranks), k) - 1]
    return share


def average_precision(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Return the sum of the precisions at the right answers among the K best, over the number of right answers."""
    precision = np.arange(1, ranks.shape[1] + 1) / ranks
    mean: NDArray[np.float64] = np.where(ranks <= k, precision, 0.0).sum(axis=1) / _number(ranks)
    return mean


def reciprocal_rank(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Return 1 / the first right answer's place, 0 where it is not among the K best."""
    return np.where(ranks[:, 0] <= k, 1 / ranks[:, 0], 0.0)


def share_found(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Return the share of the right answers that are among the K best."""
    found: NDArray[np.float64] = (ranks <= k).sum(axis=1) / _number(ranks)
    return found


def _number(ranks: Ranks) -> NDArray[np.int64]:
    """Return the number of each query's right answers."""
    number: NDArray[np.int64] = np.isfinite(ranks).sum(axis=1)
    return number
