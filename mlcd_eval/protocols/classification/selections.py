"""What other choices of a probe's penalty would have given, and intervals that hold this noise too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.interval import widened
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import metric_value


def with_selections(
    metrics: Sequence[Metric], selections: Sequence[tuple[float, int, Columns]]
) -> tuple[list[Metric], dict[str, Any]]:
    """Return the metrics with widened intervals, and for the record each selection's values and their standard
    deviations.

    selections: the penalty, how often it was chosen, and the test samples' columns with it; chosen twice or more in
    all. The noise of the choice is independent of the test samples, which bootstrap intervals are over.
    """
    times = [count for _, count, _ in selections]
    wider: list[Metric] = []
    values: dict[str, list[float | None]] = {}
    std: dict[str, float] = {}
    for metric in metrics:
        if metric.value is not None and metric.ci95 is not None:
            of_selection = values[metric.name] = [metric_value(metric.name, columns) for _, _, columns in selections]
            std[metric.name] = float(np.std(np.repeat(np.array(of_selection, dtype=np.float64), times), ddof=1))
            interval = widened(metric.ci95, metric.value, std[metric.name])
            metric = metric.model_copy(update={"ci95": interval})
        wider.append(metric)
    rows = [
        {"lambda": lambda_, "times": count, **{name: row[place] for name, row in values.items()}}
        for place, (lambda_, count, _) in enumerate(selections)
    ]
    return wider, {"std_over_selections": std, "selections": rows}
