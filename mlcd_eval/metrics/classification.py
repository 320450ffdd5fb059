"""Single-label classification: the place of the true class among the scores, mean over classes, ROC AUC.

Every metric of no samples is None. A tie never helps: of equal scores the lower class index comes first, so that a
constant scorer is right about class 0 only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def classification_samples(
    scores: NDArray[Any] | Iterable[NDArray[Any] | Tensor], labels: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """What the metrics need to know of scores (N, C), an array or chunks of its rows in order, which need not be held.

    Chunks that are tensors are ranked on their device. labels: (N,) ints below C. Columns (N,): `label`; `prediction`,
    the best class; `correct`, 1.0 or 0.0; `rank`, the place of the true class, from 1; for two classes `contrast`, the
    score of class 1 minus that of class 0.
    Raises ValueError where a score is NaN.
    """
    chunks = [scores] if isinstance(scores, np.ndarray) else scores
    prediction, rank = np.empty((2, len(labels)), np.int64)  # small arrays between large chunks would scatter memory
    contrasts = []
    offset = 0
    for chunk in chunks:
        rows = slice(offset, offset + len(chunk))
        if isinstance(chunk, np.ndarray):
            prediction[rows], rank[rows] = chunk.argmax(axis=1), label_ranks(chunk, labels[rows])
        else:
            prediction[rows], rank[rows] = tensor_ranks(chunk, labels[rows])
        offset += len(chunk)
        if chunk.shape[1] == 2:
            contrast = chunk[:, 1] - chunk[:, 0]
            contrasts.append(contrast if isinstance(contrast, np.ndarray) else contrast.cpu().numpy())
    assert offset == len(labels), f"{offset} rows of scores, {len(labels)} labels"
    columns = {"label": labels, "prediction": prediction, "correct": (rank == 1) * 1.0, "rank": rank}
    return columns | ({"contrast": np.concatenate(contrasts)} if contrasts else {})


def over_trials(trials: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """The columns of several trials on the same samples: (N, T) each, but for `label` and `correct`, which is the share
    of trials (N,)."""
    columns = {name: np.stack([trial[name] for trial in trials], axis=1) for name in trials[0]}
    return columns | {"label": trials[0]["label"], "correct": columns["correct"].mean(axis=1)}


def label_ranks(scores: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """(N,) places, from 1, of the true classes among scores (N, C): after strictly greater scores, and after equal
    ones of a lower class index. A true class of score -inf has place C + 1. Raises ValueError where a score is NaN."""
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN, which has no rank")
    true = scores[np.arange(len(scores)), labels][:, None]
    ties_before = (scores == true) & (np.arange(scores.shape[1]) < labels[:, None])
    ranks = 1 + (scores > true).sum(axis=1) + ties_before.sum(axis=1)
    return np.where(true[:, 0] == -np.inf, scores.shape[1] + 1, ranks)


def tensor_ranks(scores: Tensor, labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the best classes (N,) and `label_ranks` (N,) of scores (N, C), computed where the scores are; only these
    two columns are copied to the host."""
    import torch

    of_row = torch.as_tensor(labels, device=scores.device)[:, None]
    true = scores.gather(1, of_row)
    lower = torch.arange(scores.shape[1], device=scores.device) < of_row
    rank = 1 + (scores > true).sum(dim=1) + ((scores == true) & lower).sum(dim=1)
    rank = torch.where(true[:, 0] == -torch.inf, scores.shape[1] + 1, rank)
    rank = rank.masked_fill(scores.isnan().any(dim=1), 0)
    prediction, rank = torch.stack([scores.argmax(dim=1), rank]).cpu().numpy()
    if (rank == 0).any():
        raise ValueError("scores hold NaN, which has no rank")
    return prediction, rank


def mean_over_classes(outcomes: NDArray[Any], labels: NDArray[Any]) -> float | None:
    """Mean over the classes that occur in labels (N,) of the mean of their outcomes (N,).

    Of right-or-wrong outcomes it is mean per-class recall (scikit-learn's balanced_accuracy_score). A class without a
    sample does not count.
    """
    if len(labels) == 0:
        return None
    sizes = np.bincount(labels)
    totals = np.bincount(labels, weights=outcomes)
    present = sizes > 0
    return float((totals[present] / sizes[present]).mean())


def roc_auc(scores: NDArray[Any], labels: NDArray[Any]) -> float | None:
    """Chance that a positive of labels (N,) 0/1 scores above a negative, ties counting half (scikit-learn's
    roc_auc_score); None without a positive or without a negative. Of scores (N, T) the mean over T trials."""
    return prepare_roc_auc(scores, labels)(None)


def prepare_roc_auc(scores: NDArray[Any], labels: NDArray[Any]) -> Callable[[NDArray[Any] | None], float | None]:
    """ROC AUC as a function of sample indices, drawn with replacement (None: each sample once): sorts only once."""
    blocks = [np.unique(trial, return_inverse=True)[1] for trial in np.atleast_2d(scores.T)]

    def value(rows: NDArray[Any] | None) -> float | None:
        return mean_of_defined(
            [_auc(block, labels) if rows is None else _auc(block[rows], labels[rows]) for block in blocks]
        )

    return value


def _auc(block: NDArray[Any], labels: NDArray[Any]) -> float | None:
    """block: (N,) ints in the order of the scores, equal where these are equal."""
    positives = np.bincount(block, weights=labels)
    negatives = np.bincount(block) - positives
    pairs = positives.sum() * negatives.sum()
    if pairs == 0:
        return None
    negatives_below = np.cumsum(negatives) - negatives / 2
    return float((positives * negatives_below).sum() / pairs)


def mean_of_defined(values: Sequence[float | None]) -> float | None:
    """Mean of those that are not None; None without any."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
