"""What two models' samples say about how many it takes to tell them apart."""

from __future__ import annotations

import json

from mlcd_eval.metrics.power import LEVEL, POWER
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.tables.comparison.compare import Comparison, MetricComparison
from mlcd_eval.tables.text import MARKDOWN, Drawing, cell, shown_difference

NOTE = (
    f"By the primary metric of each task, two-sided at {LEVEL} for this test alone, with a power of {POWER:.0%} and at "
    "the agreement of A and B that was measured. detectable: the least difference that the samples at hand show; to "
    "detect B - A: about how many samples it takes to show the difference that was measured, if it is the true one."
)


def as_text(comparison: Comparison, draw: Drawing = MARKDOWN) -> str:
    """A table with a row per task, and what it means."""
    header = ["task", "metric", "test", "n", "B - A", "detectable", "to detect B - A"]
    rows = [
        [
            draw.text(row.task),
            draw.text(metric_kind(row.metric).heading),
            row.test,
            f"{row.num_samples:,}",
            shown_difference(row.difference, row.unit),
            "-" if row.detectable is None else shown_difference(row.detectable, row.unit).lstrip("+"),
            "-" if row.images is None else f"{row.images:,}",
        ]
        for row in comparison.tasks
    ]
    left_out = [f"Left out: {cell(task)} ({cell(reason)})." for task, reason in comparison.left_out.items()]
    return "\n\n".join([draw.table(header, rows, 3).rstrip("\n"), NOTE, *left_out]) + "\n"


def as_json(comparison: Comparison) -> str:
    """The same in each metric's unit."""
    values = {
        "level": LEVEL,
        "power": POWER,
        "tasks": [_task_as_json(row) for row in comparison.tasks],
        "left_out": comparison.left_out,
    }
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _task_as_json(row: MetricComparison) -> dict[str, object]:
    names = ("task", "metric", "unit", "test", "num_samples", "difference", "detectable", "images")
    return {name: getattr(row, name) for name in names}
