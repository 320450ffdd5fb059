"""What a run prints at its end."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.records import Result
from mlcd_eval.tables.text import cell, count, markdown_table, shown_metric


def summary(results: Sequence[Result]) -> str:
    """Each task's primary metric, of retrieval every recall; per cent, 95% intervals. The records hold the others."""
    rows = []
    for result in results:
        head = [cell(result.model.name), result.task.name]
        if result.status == "error":
            rows.append([*head, "failed", "-", "-"])
        for metric in result.metrics:
            if metric.name == result.primary_metric or result.task.protocol == "retrieval":
                rows.append([*head, metric.name, shown_metric(metric), count(metric.num_scored)])
    return markdown_table(["model", "task", "metric", "% [95% interval]", "n"], rows, left=3)
