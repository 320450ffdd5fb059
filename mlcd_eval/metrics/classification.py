"""Single-label classification: accuracy at K, mean per-class recall, ROC AUC.

Every metric of no samples is None. A tie never helps: of equal scores the lower class index comes first, so that a
constant scorer is right about class 0 only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.interval import bootstrap, bootstrap_mean, bootstrap_mean_per_class


@dataclass(frozen=True)
class Outcomes:
    """What the metrics need to know of scores (N, C), which need not be held.

    labels, predictions: (N,) class indices; ranks: (N,) place of the true class, from 1;
    contrast: (N,) score of class 1 minus that of class 0 for two classes, else None.
    """

    labels: np.ndarray
    predictions: np.ndarray
    ranks: np.ndarray
    contrast: np.ndarray | None
    num_classes: int


def classification_outcomes(scores: np.ndarray | Iterable[np.ndarray], labels: np.ndarray) -> Outcomes:
    """Outcomes of scores (N, C), an array or chunks of its rows in order, and labels (N,) of ints below C.

    Raises ValueError where a score is NaN.
    """
    chunks = [scores] if isinstance(scores, np.ndarray) else scores
    predictions, ranks, contrasts = [], [], []
    offset = num_classes = 0
    for chunk in chunks:
        predictions.append(chunk.argmax(axis=1))
        ranks.append(label_ranks(chunk, labels[offset : offset + len(chunk)]))
        offset, num_classes = offset + len(chunk), chunk.shape[1]
        if num_classes == 2:
            contrasts.append(chunk[:, 1] - chunk[:, 0])
    assert offset == len(labels), f"{offset} rows of scores, {len(labels)} labels"
    contrast = np.concatenate(contrasts) if contrasts else None
    return Outcomes(labels, np.concatenate(predictions), np.concatenate(ranks), contrast, num_classes)


def label_ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) places, from 1, of the true classes among scores (N, C): after strictly greater scores, and after equal
    ones of a lower class index. Raises ValueError where a score is NaN."""
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN, which has no rank")
    true = scores[np.arange(len(scores)), labels][:, None]
    ties_before = (scores == true) & (np.arange(scores.shape[1]) < labels[:, None])
    return 1 + (scores > true).sum(axis=1) + ties_before.sum(axis=1)


def accuracy_at(k: int, outcomes: Outcomes) -> float | None:
    """Share of samples whose class is among the k best; None where there are fewer than k classes."""
    if len(outcomes.ranks) == 0 or outcomes.num_classes < k:
        return None
    return float((outcomes.ranks <= k).mean())


def mean_top1_top5(outcomes: Outcomes) -> float | None:
    """Mean of top-1 and top-5 accuracy (Kinetics); None below five classes."""
    acc1, acc5 = accuracy_at(1, outcomes), accuracy_at(5, outcomes)
    return None if acc1 is None or acc5 is None else (acc1 + acc5) / 2


def mean_per_class_recall(predictions: np.ndarray, labels: np.ndarray) -> float | None:
    """Mean over the classes that occur in labels (N,) of the share of theirs in predictions (N,) that is right
    (scikit-learn's balanced_accuracy_score). A class without a sample does not count."""
    if len(labels) == 0:
        return None
    sizes = np.bincount(labels)
    hits = np.bincount(labels[predictions == labels], minlength=len(sizes))
    present = sizes > 0
    return float((hits[present] / sizes[present]).mean())


def roc_auc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    """Chance that a positive of labels (N,) 0/1 scores above a negative, ties counting half (scikit-learn's
    roc_auc_score); None without a positive or without a negative."""
    _, block = np.unique(scores, return_inverse=True)  # samples of one score share a block
    return _auc(block, labels)


def _auc(block: np.ndarray, labels: np.ndarray) -> float | None:
    if len(labels) == 0:
        return None
    positives = np.bincount(block, weights=labels)
    negatives = np.bincount(block) - positives
    pairs = positives.sum() * negatives.sum()
    if pairs == 0:
        return None
    negatives_below = np.cumsum(negatives) - negatives / 2
    return float((positives * negatives_below).sum() / pairs)


def classification_metric(name: str, outcomes: Outcomes) -> float | None:
    """The value of one metric of `classification_metrics`."""
    if name == "mean_per_class_recall":
        return mean_per_class_recall(outcomes.predictions, outcomes.labels)
    if name == "mean_top1_top5":
        return mean_top1_top5(outcomes)
    if name == "roc_auc":
        return None if outcomes.contrast is None else roc_auc(outcomes.contrast, outcomes.labels)
    return accuracy_at({"acc1": 1, "acc5": 5}[name], outcomes)


def classification_metrics(outcomes: Outcomes, rng: np.random.Generator, num_unscored: int = 0) -> list[Metric]:
    """acc1, acc5, mean_per_class_recall, mean_top1_top5 and, for two classes, roc_auc, each with its interval."""
    top1, top5 = outcomes.ranks <= 1, outcomes.ranks <= 5
    intervals = {
        "acc1": lambda: bootstrap_mean(top1, rng),
        "acc5": lambda: bootstrap_mean(top5, rng),
        "mean_per_class_recall": lambda: bootstrap_mean_per_class(top1, outcomes.labels, rng),
        "mean_top1_top5": lambda: bootstrap_mean((top1 + top5.astype(float)) / 2, rng),
    }
    if outcomes.contrast is not None:
        _, block = np.unique(outcomes.contrast, return_inverse=True)
        intervals["roc_auc"] = lambda: bootstrap(lambda i: _auc(block[i], outcomes.labels[i]), len(block), rng)
    metrics = []
    for name, interval in intervals.items():
        value = classification_metric(name, outcomes)
        ci95 = None if value is None else interval()
        metrics.append(
            Metric(name=name, value=value, num_scored=len(outcomes.labels), num_unscored=num_unscored, ci95=ci95)
        )
    return metrics
