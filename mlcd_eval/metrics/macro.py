"""Macro averages over the classes that are true or predicted, as scikit-learn's with average="macro".

Mean per-class recall (metrics/classification.py) is over the true classes only, so that a wrong prediction of a class
that the split lacks does not lower it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

PerClass = Callable[[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]
"""Samples of each class (K,) that are predicted rightly, that are true and that are predicted -> its value (K,)."""


def recalls(hits: NDArray[np.int64], true: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of a class's samples that are predicted as it; 0 for a class without samples."""
    return hits / np.maximum(true, 1)


def f1s(hits: NDArray[np.int64], true: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.float64]:
    """The harmonic mean of a class's precision and recall."""
    return 2 * hits / (true + predicted)


def prepare_macro(
    per_class: PerClass, predictions: NDArray[np.int64], labels: NDArray[np.int64]
) -> Callable[[NDArray[np.int64] | None], float | None]:
    """The mean over classes and trials as a function of sample indices, drawn with replacement (None: each once).

    predictions: (N, T) of T trials; labels: (N,). None of no samples.
    """
    num_classes = 1 + max(predictions.max(initial=0), labels.max(initial=0))

    def value(rows: NDArray[np.int64] | None) -> float | None:
        true, drawn = (labels, predictions) if rows is None else (labels[rows], predictions[rows])
        if len(true) == 0:
            return None
        of_class = np.bincount(true, minlength=num_classes)
        trials = []
        for predicted in drawn.T:
            hits = np.bincount(true[predicted == true], minlength=num_classes)
            of_predicted = np.bincount(predicted, minlength=num_classes)
            named = (of_class + of_predicted) > 0
            trials.append(per_class(hits[named], of_class[named], of_predicted[named]).mean())
        return float(np.mean(trials))

    return value
