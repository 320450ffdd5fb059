"""Query expansion: a query takes up the images that it found (Radenovic, Tolias & Chum 2019, alpha-weighted)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, NonNegativeFloat, PositiveInt

from mlcd_eval.protocols.classification.knn import nearest
from mlcd_eval.support.progress import Advance


class Expansion(BaseModel):
    """images: how many of the nearest images of the gallery are added to a query, each times its similarity to the
    power of alpha; those of a negative similarity are not. alpha 0 adds them as they are (Chum et al. 2007)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: PositiveInt = 10
    alpha: NonNegativeFloat = 3.0


def expanded(
    expansion: Expansion,
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32] | None,
    device: str,
    advance: Advance,
) -> NDArray[np.float32]:
    """Return queries (Q, D) by which to rank the gallery (G, D); without one they are their own, and add no image
    twice."""
    import torch

    from mlcd_eval.protocols.shared.unit import unit

    others = queries if gallery is None else gallery
    count = min(expansion.images + (gallery is None), len(others))
    similarity, rows = nearest(others, queries, count, device, advance)
    weights = similarity.clip(min=0) ** expansion.alpha * (similarity > 0)
    if gallery is None:
        is_itself = rows == np.arange(len(queries))[:, None]
        is_itself[:, -1] |= ~is_itself.any(axis=1)  # beside so many equal images that it is not among the nearest
        weights[is_itself] = 0
    more = [
        np.asarray(weight, np.float32) @ unit(torch.tensor(others[row])).numpy()
        for weight, row in zip(weights, rows, strict=True)
    ]
    return unit(torch.tensor(queries)).numpy() + np.stack(more)
