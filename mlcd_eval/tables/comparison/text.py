"""A comparison of two models as tables of text: a row per task, and one per other metric."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.metrics.power import LEVEL, POWER
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.tables.comparison.compare import Comparison, MetricComparison, TaskComparison
from mlcd_eval.tables.text import MARKDOWN, Drawing, cell, measure, shown, shown_difference

_SMALLEST = 1e-6  # a smaller p is shown as smaller
HOW = (
    "Per cent, differences in points; intervals by paired bootstrap; p two-sided, adjusted by Holm's method for the "
    "tests of the primary metrics, one per task, which are shown here; a win or a loss is an adjusted p below "
    f"{LEVEL}."
)
TIES = (
    f"Beside a tie: the least difference that this test alone, at p below {LEVEL}, would find {POWER:.0%} of the time "
    "with these samples and this agreement of A and B; smaller ones are not ruled out (`mlcd-eval power`)."
)
OTHERS = (
    "Other metrics are shown to explain a result, not to decide it: their p is not adjusted, and of equal models about "
    f"one in {round(1 / LEVEL)} would be below {LEVEL}."
)
HEADER = ["task", "metric", "test", "outcome of B", "n", "A", "B", "B - A", "95% interval", "p", "adjusted p"]
OTHER_HEADER = ["task", "other metric", "test", "n", "A", "B", "B - A", "95% interval", "unadjusted p"]


def as_text(comparison: Comparison, draw: Drawing = MARKDOWN) -> str:
    """A table with a row per task, a table with a row per other metric, and a summary."""
    sides = [
        f"- {name}: {cell(side.model)} ({cell(str(side.folder))})"
        for name, side in (("A", comparison.a), ("B", comparison.b))
    ]
    rows, others = ([list(map(draw.text, row)) for row in table(comparison)] for table in (task_rows, other_rows))
    parts = [
        "\n".join(sides),
        draw.table(HEADER, rows, 4).rstrip("\n"),
        summary(comparison),
        HOW,
        *([TIES] if comparison.count("tie") else []),
        *([draw.table(OTHER_HEADER, others, 3).rstrip("\n"), OTHERS] if others else []),
        *(f"Left out: {cell(task)} ({cell(reason)})." for task, reason in comparison.left_out.items()),
    ]
    return "\n\n".join(parts) + "\n"


def summary(comparison: Comparison) -> str:
    """How often B wins, and mean ranks."""
    counts = {"wins": "win", "ties": "tie", "losses": "loss", "not tested": "not tested"}
    score = ", ".join(f"{words} {comparison.count(outcome)}" for words, outcome in counts.items())
    rank_a, rank_b = comparison.mean_ranks()
    return f"B against A: {score}. Mean rank by task: A {rank_a:.2f}, B {rank_b:.2f}."


def task_rows(comparison: Comparison) -> list[list[str]]:
    """A row per task, under HEADER."""
    return [_line(task, [_outcome(task)], [task.adjusted_p]) for task in comparison.tasks]


def other_rows(comparison: Comparison) -> list[list[str]]:
    """A row per other metric, under OTHER_HEADER."""
    return [_line(other) for task in comparison.tasks for other in task.others]


def _line(row: MetricComparison, outcome: Sequence[str] = (), adjusted: Sequence[float | None] = ()) -> list[str]:
    interval = f"[{', '.join(shown_difference(end, row.unit) for end in row.ci95)}]" if row.ci95 else "-"
    values = [shown(row.a, row.unit), shown(row.b, row.unit), shown_difference(row.difference, row.unit), interval]
    heading = measure(metric_kind(row.metric).heading, row.unit, row.higher_is_better)
    numbers = [f"{row.num_samples:,}", *values, *map(_shown_p, [row.p, *adjusted])]
    return [row.task, heading, row.test, *outcome, *numbers]


def _outcome(task: TaskComparison) -> str:
    """A tie with the difference that could have been seen."""
    if task.outcome != "tie":
        return task.outcome
    if task.detectable is None:
        return "tie (nothing detectable)"
    return f"tie ({shown_difference(task.detectable, task.unit).lstrip('+')} detectable)"


def _shown_p(p: float | None) -> str:
    if p is None:
        return "-"
    return f"{p:.2g}" if p >= _SMALLEST else f"below {_SMALLEST:g}"
