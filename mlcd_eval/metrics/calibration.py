"""Calibration of single-label classification: whether a confidence of 0.8 is right four times in five.

The confidence of a sample is the largest probability of its classes, by softmax of its logits. Bins are
scikit-learn's (calibration_curve): of equal width as Guo et al. 2017 have them, or of equal mass (Nixon et al. 2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

BINS = 15
Strategy = Literal["width", "mass"]
Metric = Callable[["NDArray[Any] | None"], "float | None"]
"""A function of sample indices, drawn with replacement (None: each once)."""


def calibration_samples(
    chunks: Iterable[Tensor], labels: NDArray[Any], temperature: float = 1.0
) -> dict[str, NDArray[Any]]:
    """Columns (N,) float64 of logits in chunks (B, C) divided by a temperature, and labels (N,).

    `confidence`; `log_loss`, minus the logarithm of the true class's probability, infinite where that is 0; `brier`,
    the sum over classes of the squared difference between probability and truth.
    """
    import torch

    columns: dict[str, list[Tensor]] = {"confidence": [], "log_loss": [], "brier": []}
    offset = 0
    for chunk in chunks:
        true = torch.as_tensor(labels[offset : offset + len(chunk)], device=chunk.device)[:, None]
        logarithms = torch.log_softmax(chunk.double() / temperature, dim=1)
        p = logarithms.exp()
        of_true = p.gather(1, true)[:, 0]
        columns["confidence"].append(p.max(dim=1).values)
        columns["log_loss"].append(-logarithms.gather(1, true)[:, 0])
        columns["brier"].append(p.square().sum(dim=1) - of_true.square() + (1 - of_true).square())
        offset += len(chunk)
    return {name: torch.cat(parts).cpu().numpy() for name, parts in columns.items()}


def bins_of(confidence: NDArray[Any], strategy: Strategy = "width") -> NDArray[np.int64]:
    """The bin (N,) of each confidence, from 0 to BINS - 1. A bin holds its upper end; equal confidences share one."""
    shares = np.linspace(0, 1, BINS + 1)
    ends = shares if strategy == "width" else np.percentile(confidence, shares * 100)
    return np.searchsorted(ends[1:-1], confidence)


def reliability(confidence: NDArray[Any], correct: NDArray[Any]) -> list[dict[str, Any]]:
    """The reliability diagram: count, mean confidence and accuracy of each bin of equal width that has a sample."""
    bins = bins_of(confidence)
    return [
        {
            "bin": number,
            "count": int((bins == number).sum()),
            "confidence": float(confidence[bins == number].mean()),
            "accuracy": float(correct[bins == number].mean()),
        }
        for number in np.unique(bins).tolist()
    ]


def prepare_calibration_error(strategy: Strategy, outcomes: NDArray[Any]) -> Metric:
    """Expected calibration error: the mean over samples of the gap between a bin's accuracy and mean confidence.

    outcomes: (N, 2) of confidence and whether the sample is right. Resamples keep the bins. None of no samples.
    """
    if len(outcomes) == 0:
        return lambda rows: None
    bins, gaps = bins_of(outcomes[:, 0], strategy), outcomes[:, 1] - outcomes[:, 0]

    def value(rows: NDArray[Any] | None) -> float | None:
        drawn, of_drawn = (bins, gaps) if rows is None else (bins[rows], gaps[rows])
        return float(np.abs(np.bincount(drawn, of_drawn)).sum() / len(drawn))

    return value


def prepare_aurc(outcomes: NDArray[Any]) -> Metric:
    """Area under the risk-coverage curve (Geifman & El-Yaniv 2017): the mean, over k, of the share of wrong answers
    among the k of most confidence; of equal confidence in expectation over their orders.

    outcomes: (N, 2) of confidence and whether the sample is right. None of no samples.
    """
    _, place = np.unique(-outcomes[:, 0], return_inverse=True)  # 0 for the most confident
    wrong = 1 - outcomes[:, 1]

    def value(rows: NDArray[Any] | None) -> float | None:
        drawn, errors = (place, wrong) if rows is None else (place[rows], wrong[rows])
        if len(drawn) == 0:
            return None
        counts, of_place = np.bincount(drawn), np.bincount(drawn, errors)
        k = np.arange(1, len(drawn) + 1)
        among = np.interp(k, np.r_[0, counts.cumsum()], np.r_[0, of_place.cumsum()])
        return float((among / k).mean())

    return value
