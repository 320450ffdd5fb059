"""Open-set detection: whether a score is larger on images of known classes than on images of another data set.

Scores are of logits: the largest one (Hendrycks et al. 2022), energy (Liu et al. 2020), MSP, the largest probability
(Hendrycks & Gimpel 2017), and MCM, the same of a softmax of cosine similarities at temperature 1 (Ming et al. 2022).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

RECALL = 95  # per cent of known images that must score above the threshold


def open_set_scores(chunks: Iterable[Tensor], cosine_scale: float | None = None) -> dict[str, NDArray[Any]]:
    """Columns (N,) float64 of logits in chunks (B, C): `max_logit`, `energy` (minus the free energy, so that more is
    more familiar) and `msp`, or `mcm` where logits are cosine similarities times `cosine_scale`."""
    import torch

    name, scale = ("msp", 1.0) if cosine_scale is None else ("mcm", cosine_scale)
    columns: dict[str, list[Tensor]] = {"max_logit": [], "energy": [], name: []}
    for chunk in chunks:
        logits = chunk.double()
        columns["max_logit"].append(logits.max(dim=1).values)
        columns["energy"].append(logits.logsumexp(dim=1))
        columns[name].append(torch.softmax(logits / scale, dim=1).max(dim=1).values)
    return {score: torch.cat(parts).cpu().numpy() for score, parts in columns.items()}


def prepare_fpr95(scores: NDArray[Any], known: NDArray[Any]) -> Callable[[NDArray[Any] | None], float | None]:
    """The share of unknown images at or above the largest threshold that 95% of the known ones reach.

    scores: (N, 1); known: (N,) 0/1. A function of sample indices, drawn with replacement (None: each once); None
    without a known or without an unknown image.
    """
    column = scores[:, 0]

    def value(rows: NDArray[Any] | None) -> float | None:
        drawn, is_known = (column, known) if rows is None else (column[rows], known[rows])
        inside, outside = drawn[is_known == 1], drawn[is_known == 0]
        if len(inside) == 0 or len(outside) == 0:
            return None
        below = len(inside) + (-RECALL * len(inside) // 100)  # known images that may be under the threshold
        return float((outside >= np.partition(inside, below)[below]).mean())

    return value
