"""Choosing the images that a word is associated with among candidates (WinoGAViL, Bitton et al. 2022)."""

from __future__ import annotations

from math import comb

import numpy as np
from numpy.typing import NDArray


def jaccard_of_best(similarities: NDArray[np.float64], chosen: NDArray[np.bool_]) -> float:
    """The Jaccard index of the true candidates and as many of the most similar ones.

    similarities: (M,) of the candidates; chosen: (M,), at least one of which is true. Of equally similar candidates the
    wrong ones come first.
    """
    order = np.lexsort((chosen, -similarities))
    return jaccard(int(chosen[order[: chosen.sum()]].sum()), int(chosen.sum()))


def jaccard(hits: int, size: int) -> float:
    """Of two sets of one size that share this many."""
    return hits / (2 * size - hits)


def chance_of_jaccard(size: int, candidates: int) -> float:
    """The expected index if `size` of the candidates are drawn at random, `size` of them being right."""
    ways = [comb(size, hits) * comb(candidates - size, size - hits) for hits in range(size + 1)]
    return sum(way * jaccard(hits, size) for hits, way in enumerate(ways)) / comb(candidates, size)
