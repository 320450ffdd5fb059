"""Mean average precision of multi-label scores, all-points and 11-point.

A class without a positive has no average precision and is left out of the mean (scikit-learn and clip-benchmark count
it as 0); without any such class, or any sample, the metric is None. Samples of equal score enter together, so that
their order does not matter (as in scikit-learn).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.interval import bootstrap

_POINTS = {"map": None, "map_11point": 11}


class Rankings:
    """Each class's samples in order of score, sorted once for any number of weightings of the samples.

    scores: (N, C); labels: (N, C) of 0 and 1. Of the sorted samples only the positives are kept, padded to the most
    that a class has, P. Raises ValueError where a score is NaN.
    """

    def __init__(self, scores: np.ndarray, labels: np.ndarray) -> None:
        if np.isnan(scores).any():
            raise ValueError("scores hold NaN, which has no rank")
        self.num_samples, num_classes = scores.shape
        self._order = np.argsort(-scores.T, axis=1, kind="stable")  # (C, N)
        most = int(labels.sum(axis=0).max(initial=0))
        self._sample = np.zeros((num_classes, most), dtype=np.int64)  # the positive's row in scores
        self._tie_end = np.zeros((num_classes, most), dtype=np.int64)  # last place, from 0, of its score
        self._last_tied = np.full((num_classes, most), most - 1)  # last positive of its score
        self._real = np.zeros((num_classes, most))  # 0 where padded
        for c in range(num_classes):
            ordered = -scores[self._order[c], c]  # ascending
            places = np.flatnonzero(labels[self._order[c], c])
            p = len(places)
            self._sample[c, :p] = self._order[c, places]
            self._tie_end[c, :p] = np.searchsorted(ordered, ordered[places], side="right") - 1
            self._last_tied[c, :p] = np.searchsorted(ordered[places], ordered[places], side="right") - 1
            self._real[c, :p] = 1

    def mean_average_precision(self, weights: np.ndarray | None = None, points: int | None = None) -> float | None:
        """Mean over classes, with sample weights (N,) if given.

        points None: sum over the ranking of precision times the gain in recall (scikit-learn's
        average_precision_score). points 11: mean over recalls 0, 0.1, ..., 1 of the best precision at that recall or
        above (the VOC2007 development kit).
        """
        w = np.ones(self.num_samples) if weights is None else weights
        hits = w[self._sample] * self._real  # (C, P)
        total = hits.sum(axis=1)
        present = total > 0
        if not present.any():
            return None
        drawn = np.take_along_axis(np.cumsum(w[self._order], axis=1), self._tie_end, axis=1)
        found = np.take_along_axis(np.cumsum(hits, axis=1), self._last_tied, axis=1)
        hits, drawn, found, total = hits[present], drawn[present], found[present], total[present, None]
        precision = found / np.maximum(drawn, 1e-300) * self._real[present]
        if points is None:
            return float(((hits * precision).sum(axis=1) / total[:, 0]).mean())
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        steps = points - 1  # recall >= step / steps, without dividing
        first = np.stack([(found * steps < step * total).sum(axis=1) for step in range(points)], axis=1)
        return float(np.take_along_axis(best, first, axis=1).mean())


def multilabel_metric(name: str, scores: np.ndarray, labels: np.ndarray) -> float | None:
    """`map` or `map_11point` of scores (N, C) and labels (N, C) of 0 and 1."""
    return Rankings(scores, labels).mean_average_precision(points=_POINTS[name])


def multilabel_metrics(
    scores: np.ndarray, labels: np.ndarray, rng: np.random.Generator, num_unscored: int = 0
) -> list[Metric]:
    """map and map_11point, each with its interval over samples; of scores (T, N, C), the mean over T trials."""
    trials = [Rankings(trial, labels) for trial in scores.reshape(-1, *labels.shape)]
    metrics = []
    for name, points in _POINTS.items():

        def value(weights: np.ndarray | None = None, points: int | None = points) -> float | None:
            means = [trial.mean_average_precision(weights, points) for trial in trials]
            defined = [mean for mean in means if mean is not None]
            return float(np.mean(defined)) if defined else None

        def resampled(rows: np.ndarray, value: Callable[..., float | None] = value) -> float | None:
            return value(np.bincount(rows, minlength=len(labels)).astype(float))

        interval = bootstrap(resampled, len(labels), rng)
        metrics.append(
            Metric(name=name, value=value(), num_scored=len(labels), num_unscored=num_unscored, ci95=interval)
        )
    return metrics
