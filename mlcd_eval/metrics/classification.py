"""Single-label classification: accuracy at K, mean per-class recall, ROC AUC.

Every metric of no samples is None. A tie never helps: of equal scores the lower class index comes first, so that a
constant scorer is right about class 0 only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.interval import bootstrap, bootstrap_mean, bootstrap_mean_per_class


@dataclass(frozen=True)
class Outcomes:
    """What the metrics need to know of scores (N, C), which need not be held.

    labels, predictions: (N,) class indices; ranks: (N,) place of the true class, from 1;
    contrast: (N,) score of class 1 minus that of class 0 for two classes, else None.
    Over T trials on the same samples (`stacked`) all but the labels are (T, N), and metrics are means over trials.
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


def stacked(trials: Sequence[Outcomes]) -> Outcomes:
    """Outcomes over several trials on the same samples."""
    first = trials[0]
    contrasts = [trial.contrast for trial in trials if trial.contrast is not None]
    return Outcomes(
        labels=first.labels,
        predictions=np.stack([trial.predictions for trial in trials]),
        ranks=np.stack([trial.ranks for trial in trials]),
        contrast=np.stack(contrasts) if contrasts else None,
        num_classes=first.num_classes,
    )


def label_ranks(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N,) places, from 1, of the true classes among scores (N, C): after strictly greater scores, and after equal
    ones of a lower class index. A true class of score -inf is never found: C + 1. Raises ValueError where a score is
    NaN."""
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN, which has no rank")
    true = scores[np.arange(len(scores)), labels][:, None]
    ties_before = (scores == true) & (np.arange(scores.shape[1]) < labels[:, None])
    ranks = 1 + (scores > true).sum(axis=1) + ties_before.sum(axis=1)
    return np.where(true[:, 0] == -np.inf, scores.shape[1] + 1, ranks)


def accuracy_at(k: int, outcomes: Outcomes) -> float | None:
    """Share of samples whose class is among the k best; None where there are fewer than k classes."""
    if len(outcomes.labels) == 0 or outcomes.num_classes < k:
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
    return _auc(_blocks(scores), labels)


def _blocks(scores: np.ndarray) -> np.ndarray:
    """(N,) ints in the order of scores (N,), equal where they are equal."""
    return np.unique(scores, return_inverse=True)[1]


def _auc(block: np.ndarray, labels: np.ndarray) -> float | None:
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
        predictions = np.atleast_2d(outcomes.predictions)
        return _mean([mean_per_class_recall(trial, outcomes.labels) for trial in predictions])
    if name == "mean_top1_top5":
        return mean_top1_top5(outcomes)
    if name == "roc_auc":
        if outcomes.contrast is None:
            return None
        return _mean([roc_auc(trial, outcomes.labels) for trial in np.atleast_2d(outcomes.contrast)])
    return accuracy_at({"acc1": 1, "acc5": 5}[name], outcomes)


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def classification_metrics(outcomes: Outcomes, rng: np.random.Generator, num_unscored: int = 0) -> list[Metric]:
    """acc1, acc5, mean_per_class_recall, mean_top1_top5 and, for two classes, roc_auc, each with its interval over
    samples."""
    labels = outcomes.labels
    top1, top5 = ((np.atleast_2d(outcomes.ranks) <= k).mean(axis=0) for k in (1, 5))  # (N,), over trials
    intervals = {
        "acc1": lambda: bootstrap_mean(top1, rng),
        "acc5": lambda: bootstrap_mean(top5, rng),
        "mean_per_class_recall": lambda: bootstrap_mean_per_class(top1, labels, rng),
        "mean_top1_top5": lambda: bootstrap_mean((top1 + top5) / 2, rng),
    }
    if outcomes.contrast is not None:
        blocks = [_blocks(trial) for trial in np.atleast_2d(outcomes.contrast)]
        intervals["roc_auc"] = lambda: bootstrap(
            lambda rows: _mean([_auc(block[rows], labels[rows]) for block in blocks]), len(labels), rng
        )
    metrics = []
    for name, interval in intervals.items():
        value = classification_metric(name, outcomes)
        ci95 = None if value is None else interval()
        metrics.append(Metric(name=name, value=value, num_scored=len(labels), num_unscored=num_unscored, ci95=ci95))
    return metrics
