"""What a run prints at its end."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.records import Result
from mlcd_eval.tables.text import cell, markdown_table, shown_metric


def summary(results: Sequence[Result]) -> str:
    """Model x task with the metric that ranks first, then the others; per cent, 95% intervals."""
    rows = []
    for result in results:
        head = [cell(result.model.name), result.task.name]
        if result.status == "error":
            rows.append([*head, "failed", "-", "-"])
        ordered = sorted(result.metrics, key=lambda metric: metric.name != result.primary_metric)
        rows += [[*head, metric.name, shown_metric(metric), f"{metric.num_scored:,}"] for metric in ordered]
    return markdown_table(["model", "task", "metric", "% [95% interval]", "n"], rows, left=3)
