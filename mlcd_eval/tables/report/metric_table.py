"""A table of the page: some metrics of the records that have them, one line per record."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.records import Result
from mlcd_eval.tables.text import shown_metric
from mlcd_eval.tables.variants import variants, with_label


@dataclass(frozen=True)
class MetricTable:
    """columns: headings of the metrics. rows: (model, task, a text per column)."""

    columns: list[str]
    rows: list[tuple[str, str, list[str]]]


def metric_table(results: Sequence[Result], names: Collection[str]) -> MetricTable | None:
    """Return the values of these metrics with their intervals, None where no record has one."""
    ok = [result for result in results if result.status == "ok"]
    labels = variants(ok)
    found = [(result, {metric.name: metric for metric in result.metrics if metric.name in names}) for result in ok]
    found = [(result, metrics) for result, metrics in found if metrics]
    columns = [name for name in names if any(name in metrics for _, metrics in found)]
    rows = [
        (
            result.model.name,
            with_label(result.task.name, labels.label(result)),
            [shown_metric(metrics[name]) if name in metrics else "-" for name in columns],
        )
        for result, metrics in found
    ]
    return MetricTable([_heading(name) for name in columns], rows) if rows else None


def _heading(name: str) -> str:
    kind = metric_kind(name)
    return f"{kind.heading} {'↑' if kind.higher_is_better else '↓'}"
