"""Mean average precision of multi-label scores, all-points and 11-point.

A class without a positive has no average precision and is left out of the mean (scikit-learn and clip-benchmark count
it as 0); without any such class, or any sample, the metric is None. Samples of equal score enter together, so that
their order does not matter (as in scikit-learn).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.metrics.columns import places


class Rankings:
    """Each class's samples in order of score, sorted once for any number of weightings of the samples.

    scores: (N, C); labels: (N, C) of 0 and 1. Of the sorted samples only the positives are kept, padded to the most
    that a class has, P. Raises ValueError where a score is NaN.
    """

    def __init__(self, scores: NDArray[Any], labels: NDArray[Any]) -> None:
        if np.isnan(scores).any():
            raise ValueError("scores hold NaN, which has no rank")
        num_classes = scores.shape[1]
        descending, labels_of_class = np.ascontiguousarray(-scores.T), np.ascontiguousarray(labels.T)
        self._order = np.argsort(descending, axis=1, kind="stable")  # (C, N)
        most = int(labels.sum(axis=0).max(initial=0))
        self._sample = np.zeros((num_classes, most), dtype=np.int64)  # the positive's row in scores
        self._tie_end = np.zeros((num_classes, most), dtype=np.int64)  # last place, from 0, of its score
        self._last_tied = np.full((num_classes, most), most - 1)  # last positive of its score
        self._real = np.zeros((num_classes, most))  # 0 where padded
        for c in range(num_classes):
            ordered = descending[c, self._order[c]]  # the negative scores, ascending
            places = np.flatnonzero(labels_of_class[c, self._order[c]])
            p = len(places)
            self._sample[c, :p] = self._order[c, places]
            self._tie_end[c, :p] = np.searchsorted(ordered, ordered[places], side="right") - 1
            self._last_tied[c, :p] = np.searchsorted(ordered[places], ordered[places], side="right") - 1
            self._real[c, :p] = 1

    def mean_average_precision(self, weights: NDArray[Any] | None = None, points: int | None = None) -> float | None:
        """Mean over classes, with sample weights (N,) if given.

        points None: sum over the ranking of precision times the gain in recall (scikit-learn's
        average_precision_score). points 11: mean over recalls 0, 0.1, ..., 1 of the best precision at that recall or
        above (the VOC2007 development kit).
        """
        hits = self._real if weights is None else weights[self._sample] * self._real  # (C, P)
        total = hits.sum(axis=1)
        present = total > 0
        if not present.any():
            return None
        if weights is None:
            drawn = self._tie_end + 1.0
        else:
            drawn = np.take_along_axis(np.cumsum(weights[self._order], axis=1), self._tie_end, axis=1)
        retrieved = np.take_along_axis(np.cumsum(hits, axis=1), self._last_tied, axis=1)
        hits, drawn, retrieved, total = hits[present], drawn[present], retrieved[present], total[present, None]
        precision = retrieved / np.maximum(drawn, 1e-300) * self._real[present]
        if points is None:
            return float(((hits * precision).sum(axis=1) / total[:, 0]).mean())
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        steps = points - 1  # recall >= step / steps, without dividing
        first = np.stack([(retrieved * steps < step * total).sum(axis=1) for step in range(points)], axis=1)
        return float(np.take_along_axis(best, first, axis=1).mean())


def multilabel_samples(scores: NDArray[Any], labels: NDArray[Any]) -> dict[str, Any]:
    """What the metrics need to know of scores (N, C) and labels (N, C) of 0 and 1, as columns of N entries.

    `label`: lists of the true classes; `places`: (N, C), in which order a class's scores rank the samples, from 0 for
    the lowest, equal for equal scores. Raises ValueError where a score is NaN.
    """
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN, which has no rank")
    return {"label": [np.flatnonzero(row).tolist() for row in labels], "places": places(scores)}


def one_hot(classes: Sequence[Sequence[int]], num_classes: int) -> NDArray[Any]:
    """Lists of classes -> labels (N, C) of 0 and 1."""
    labels = np.zeros((len(classes), num_classes), dtype=np.int64)
    for row, present in enumerate(classes):
        labels[row, present] = 1
    return labels


def mean_average_precision(scores: NDArray[Any], labels: NDArray[Any], points: int | None = None) -> float | None:
    """Of scores (N, C) and labels (N, C) of 0 and 1; points as in `Rankings.mean_average_precision`."""
    return Rankings(scores, labels).mean_average_precision(points=points)


def prepare_mean_average_precision(
    scores: NDArray[Any], labels: NDArray[Any], points: int | None = None
) -> Callable[[NDArray[Any] | None], float | None]:
    """The same as a function of sample indices, drawn with replacement (None: each sample once): sorts only once."""
    rankings = Rankings(scores, labels)

    def value(rows: NDArray[Any] | None) -> float | None:
        weights = None if rows is None else np.bincount(rows, minlength=len(labels)).astype(float)
        return rankings.mean_average_precision(weights, points)

    return value
