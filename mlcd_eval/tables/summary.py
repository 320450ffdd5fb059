"""What a run prints at its end."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.records import Result
from mlcd_eval.tables.lookup import protocol_named
from mlcd_eval.tables.text import MARKDOWN, Drawing, count, measure, shown_metric
from mlcd_eval.tables.variants import variants, with_label


def summary(results: Sequence[Result], draw: Drawing = MARKDOWN) -> str:
    """The metrics that each protocol shows, in per cent or the unit that is named, with 95% intervals. The records hold
    the others."""
    labels = variants(results)
    rows, units = [], set()
    for result in results:
        head = [draw.text(result.model.name), draw.text(with_label(result.task.name, labels.label(result)))]
        if result.status == "error":
            rows.append([*head, "failed", "-", "-"])
        names = [metric.name for metric in result.metrics]
        shown = protocol_named(result.task.protocol).shown_metrics(names, result.primary_metric)
        for metric in result.metrics:
            if metric.name in shown:
                name = measure(metric.name, metric.unit, metric.higher_is_better)
                rows.append([*head, name, shown_metric(metric), count(metric.num_scored)])
                units.add(metric.unit)
    heading = "%" if units <= {"fraction"} else "% or unit"
    return draw.table(["model", "task", "metric", f"{heading} [95% interval]", "n"], rows, 3)
