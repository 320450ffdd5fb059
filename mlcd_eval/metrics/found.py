"""What the ranking of one query is worth, and what a ranking drawn at random would be.

ranks: (P,) int, the 1-based places of the images that the query looks for, rising; at least one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ranks = NDArray[np.int64]


def step_precision(ranks: Ranks) -> float:
    """Return the average precision as the mean of the precisions at the right answers."""
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def trapezoid_precision(ranks: Ranks) -> float:
    """Return the average precision as the area below the line through the precisions before and at each right answer,
    1 before the first place (Philbin et al. 2007; revisitop, evaluate.py)."""
    before = np.where(ranks == 1, 1.0, np.arange(len(ranks)) / np.maximum(ranks - 1, 1))
    return float((before + np.arange(1, len(ranks) + 1) / ranks).mean() / 2)


AREAS: Mapping[str, Callable[[Ranks], float]] = {"step": step_precision, "trapezoid": trapezoid_precision}
"""What is meant by average precision."""


def precision_within(ranks: Ranks, k: int) -> float:
    """Return the sum of the precisions at the right answers among the K best, over K or all right answers if these are
    fewer (mAP@100 of Google Landmarks v2). With K the number of right answers it is MAP@R (Musgrave et al. 2020)."""
    precisions = np.arange(1, len(ranks) + 1) / ranks
    return float(precisions[ranks <= k].sum() / min(len(ranks), k))


def share_within(ranks: Ranks, k: int) -> float:
    """Return the share of right answers among the K best, or down to the last right answer if that comes sooner
    (revisitop's mP@K)."""
    depth = min(int(ranks[-1]), k)
    return float((ranks <= depth).sum() / depth)


def r_precision(ranks: Ranks) -> float:
    """Return the share of right answers among the R best, R being their number."""
    return float((ranks <= len(ranks)).mean())


def prepare_gap(answers: NDArray[Any], answerable: NDArray[np.bool_]) -> Callable[[NDArray[Any] | None], float | None]:
    """Global average precision as a function of sample indices, drawn with replacement (None: each once): the queries
    are ordered by how sure the answer is, and the precisions at the right ones are summed, over the number of queries
    that have an answer (Perronnin et al. 2009; Google Landmarks' recognition, Met).

    answers: (N, 2), the place of each query in that order, from 1, and whether its answer is right; of equal places
    the wrong ones come first. answerable: (N,). None without a query that has an answer.
    """

    def value(rows: NDArray[Any] | None) -> float | None:
        drawn, has_answer = (answers, answerable) if rows is None else (answers[rows], answerable[rows])
        if not has_answer.any():
            return None
        right = drawn[np.lexsort((drawn[:, 1], drawn[:, 0])), 1]
        precisions = np.cumsum(right) / np.arange(1, len(right) + 1)
        return float((precisions * right).sum() / has_answer.sum())

    return value


@lru_cache(maxsize=1 << 14)
def chance_of_hit(positives: int, images: int, k: int) -> float:
    """Return how often one of the K best is right, if the order of the images is drawn at random."""
    misses = range(min(k, images))
    return 1 - math.prod(max(0, images - positives - drawn) / (images - drawn) for drawn in misses)


@lru_cache(maxsize=1 << 14)
def chance_of_precision(positives: int, images: int, area: str) -> float:
    """Return the expected average precision if the order of the images is drawn at random.

    At a right answer of place r, r - 1 images are ahead, of which each is right with probability (P - 1) / (N - 1).
    """
    from scipy.special import digamma

    right = (positives - 1) / max(images - 1, 1)
    first = (float(digamma(images + 1)) + np.euler_gamma) / images  # the mean of 1 / r
    at = right + first * (1 - right)
    before = right + (1 - right) / images
    return at if area == "step" else (at + before) / 2


@lru_cache(maxsize=1 << 14)
def chance_of_precision_within(positives: int, images: int, k: int) -> float:
    """Return the expected `precision_within` the K best if the order of the images is drawn at random."""
    right = (positives - 1) / max(images - 1, 1)
    places = np.arange(1, min(k, images) + 1)
    return float((right + (1 - right) / places).sum() * positives / images / min(positives, k))


def chance_of_gap(right: NDArray[np.float64]) -> float:
    """Return the expected global average precision if answers and their order are drawn at random.

    right: (N,), how often a random answer to each query is right, 0 where it has none.
    """
    count = len(right)
    first = float((1 / np.arange(1, count + 1)).mean())  # the mean of 1 / place
    others = (right.sum() - right) / max(count - 1, 1)
    return float((right * (others + (1 - others) * first)).sum() / (right > 0).sum())
