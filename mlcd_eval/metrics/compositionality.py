"""Choosing among images and texts of which the first ones belong together: who is found, and how often by chance."""

from __future__ import annotations

from math import prod
from typing import Literal

import torch

Ties = Literal["wrong", "first"]
"""What an equally similar wrong item means: the choice is wrong, or the first of the equal ones is chosen."""


def found(similarities: torch.Tensor, ties: Ties) -> torch.Tensor:
    """Return (B,): whether every query chooses its own item.

    similarities: (B, Q, M) of Q queries and M items, of which item q is query q's own.
    """
    own = similarities.diagonal(dim1=1, dim2=2)[..., None]
    place = torch.arange(similarities.shape[2], device=similarities.device)
    query = place[: similarities.shape[1], None]
    rivals = place != query if ties == "wrong" else place < query
    return ~((similarities > own) | ((similarities == own) & rivals)).any(dim=(1, 2))


def chance_of_choice(matched: int, items: int) -> float:
    """Return how often `matched` queries all choose their own of `items` items, if similarities are drawn at random."""
    return float(items) ** -matched


def chance_of_both(matched: int, others: int) -> float:
    """Return how often both sides choose rightly: each of `matched` images its text and each text its image, where one
    side has `others` items more.

    The k-th smallest of the right similarities exceeds all wrong ones that share a row or a column with it.
    """
    return 1 / prod(2 * matched + others - k for k in range(1, matched + 1))
