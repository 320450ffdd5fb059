"""Macro averages over the classes that are true or predicted, as scikit-learn's with average="macro".

Mean per-class recall (metrics/classification.py) and the F1 of WILDS are over the true classes only, so that a wrong
prediction of a class that the split lacks does not lower them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
PerClass = Callable[[Counts, Counts, Counts], NDArray[np.float64]]
"""Samples of each class (K,) that are predicted rightly, that are true and that are predicted -> its value (K,)."""


def recalls(hits: Counts, true: Counts, predicted: Counts) -> NDArray[np.float64]:
    """The share of a class's samples that are predicted as it; 0 for a class without samples."""
    shares: NDArray[np.float64] = hits / np.maximum(true, 1)
    return shares


def f1s(hits: Counts, true: Counts, predicted: Counts) -> NDArray[np.float64]:
    """The harmonic mean of a class's precision and recall."""
    means: NDArray[np.float64] = 2 * hits / (true + predicted)
    return means


def prepare_macro(
    per_class: PerClass, predictions: NDArray[np.int64], labels: NDArray[np.int64], true_only: bool = False
) -> Callable[[NDArray[np.int64] | None], float | None]:
    """The mean over classes and trials as a function of sample indices, drawn with replacement (None: each once).

    predictions: (N, T) of T trials; labels: (N,). true_only: classes that are predicted alone do not count. None of no
    samples.
    """
    num_classes = 1 + max(predictions.max(initial=0), labels.max(initial=0))
    trials = predictions.shape[1]
    first = np.arange(trials) * num_classes

    def counts(classes: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(classes.ravel(), minlength=trials * num_classes).reshape(trials, num_classes)

    def value(rows: NDArray[np.int64] | None) -> float | None:
        true, drawn = (labels, predictions) if rows is None else (labels[rows], predictions[rows])
        if len(true) == 0:
            return None
        cells = drawn + first
        hits, predicted = counts(cells[drawn == true[:, None]]), counts(cells)
        of_class = np.broadcast_to(np.bincount(true, minlength=num_classes), predicted.shape)
        table = np.stack([hits, of_class, predicted], axis=1)  # (T, 3, K)
        counted = table[:, 1] + (0 if true_only else table[:, 2]) > 0  # (T, K)
        means = [per_class(*of_trial[:, which]).mean() for of_trial, which in zip(table, counted, strict=True)]
        return float(np.mean(means))

    return value
