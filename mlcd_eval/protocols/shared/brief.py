"""Metrics of what stands beside a score, such as a baseline, as details of a record hold them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def brief_metrics(names: Iterable[str], columns: Mapping[str, Sequence[Any]], seed: int) -> dict[str, Any]:
    """Metric -> its value and interval."""
    from mlcd_eval.metrics.table import measure

    metrics = [measure(name, columns, seed) for name in names]
    return {metric.name: {"value": metric.value, "ci95": metric.ci95} for metric in metrics}
