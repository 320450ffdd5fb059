"""What predictions drawn at random score, by metrics of which no formula says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mlcd_eval.metrics.interval import generator
from mlcd_eval.metrics.multilabel import multilabel_samples
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import GROUPED, MULTILABEL, metric_value

DRAWS = 10
_ONE_LABEL = ("macro_f1_true", *GROUPED)


def by_chance(
    metric: str, labels: np.ndarray, num_classes: int, seed: int, groups: Sequence[str] = ()
) -> dict[str, dict[str, float]]:
    """Return `chance` for the details of a record, the mean over draws; nothing for a metric with a formula.

    labels: (N,), or (N, C) 0/1. groups: of each sample, for metrics of groups.
    """
    rng, draw = generator(seed, f"chance of {metric}"), _draw_of(metric)
    if draw is None:
        return {}
    values = [metric_value(metric, {**draw(labels, num_classes, rng), "group": groups}) for _ in range(DRAWS)]
    return {"chance": {metric: float(np.mean([value for value in values if value is not None]))}}


def _draw_of(metric: str) -> Callable[[np.ndarray, int, np.random.Generator], Columns] | None:
    return _several if metric in MULTILABEL else _one if metric in _ONE_LABEL else None


def _several(labels: np.ndarray, num_classes: int, rng: np.random.Generator) -> Columns:
    return multilabel_samples(rng.random(labels.shape), labels)


def _one(labels: np.ndarray, num_classes: int, rng: np.random.Generator) -> Columns:
    rank = rng.integers(1, num_classes + 1, size=len(labels))
    wrong = (labels + rng.integers(1, max(num_classes, 2), size=len(labels))) % num_classes
    columns: Mapping[str, np.ndarray] = {
        "label": labels,
        "rank": rank,
        "prediction": np.where(rank == 1, labels, wrong),
        "correct": (rank == 1) * 1.0,
    }
    return columns
