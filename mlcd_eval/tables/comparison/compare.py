"""Two models, task by task, on the samples that both were scored on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.paired import holm
from mlcd_eval.tables.comparison.pairing import Side, pair_samples, why_unpairable
from mlcd_eval.tables.text import cell, markdown_table, shown, shown_difference

LEVEL = 0.05
NO_TEST = "none (the samples hold no scores)"
_SMALLEST = 1e-6  # a smaller p is shown as smaller


@dataclass(frozen=True)
class TaskComparison:
    """The primary metric of one task, fractions. p, adjusted_p and ci95 (of B - A) are None where there is no test."""

    task: str
    metric: str
    higher_is_better: bool
    num_samples: int
    a: float
    b: float
    test: str = NO_TEST
    ci95: tuple[float, float] | None = None
    p: float | None = None
    adjusted_p: float | None = None

    @property
    def difference(self) -> float:
        """B - A."""
        return self.b - self.a

    @property
    def outcome(self) -> str:
        """For B: a win or a loss where the adjusted p is below LEVEL, else a tie."""
        if self.adjusted_p is None:
            return "not tested"
        if self.adjusted_p >= LEVEL:
            return "tie"
        return "win" if (self.difference > 0) == self.higher_is_better else "loss"


@dataclass(frozen=True)
class Comparison:
    """Two sides on at least one task. left_out: task -> why it is not compared."""

    a: Side
    b: Side
    tasks: list[TaskComparison]
    left_out: dict[str, str] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        """The number of tasks on which B has this outcome."""
        return sum(task.outcome == outcome for task in self.tasks)

    def mean_ranks(self) -> tuple[float, float]:
        """A's and B's, over the tasks: 1 for the better value, 2 for the other, 1.5 each for equal values."""
        ahead = np.mean([np.sign(task.difference) * (1 if task.higher_is_better else -1) for task in self.tasks])
        return float(1.5 + ahead / 2), float(1.5 - ahead / 2)


def compare(a: Side, b: Side) -> Comparison:
    """Every task that both have with samples, measured in the same way on the same data; p values are adjusted for the
    number of tests. Raises DataError where there is nothing to compare, or samples do not match their records.
    """
    tasks, left_out = [], {}
    for task in sorted({*a.records, *b.records}):
        reason = _without_value("A", a, task) or _without_value("B", b, task)
        if reason is None:
            reason = why_unpairable(a.records[task], b.records[task])
        if reason is None:
            reason = _without_samples("A", a, task) or _without_samples("B", b, task)
        if reason is None:
            tasks.append(_compare_task(a, b, task))
        else:
            left_out[task] = reason
    if not tasks:
        reasons = "; ".join(f"{task}: {reason}" for task, reason in list(left_out.items())[:3])
        more = f"; and {len(left_out) - 3} more" if len(left_out) > 3 else ""
        raise DataError(f"A ({a.folder}) and B ({b.folder}) have no task to compare: {reasons}{more}")
    adjusted = iter(holm([task.p for task in tasks if task.p is not None]))
    tasks = [task if task.p is None else replace(task, adjusted_p=next(adjusted)) for task in tasks]
    return Comparison(a, b, tasks, left_out)


def _without_value(name: str, side: Side, task: str) -> str | None:
    if task not in side.records:
        return f"{name} has no record of it"
    record = side.records[task]
    if record.status == "error":
        return f"it failed for {name}"
    if record.primary is None or record.primary.value is None:
        return f"{record.primary_metric} is undefined for {name}"
    return None


def _without_samples(name: str, side: Side, task: str) -> str | None:
    return None if side.samples_path(task).is_file() else f"{name} has no samples, run both with --log-samples"


def _compare_task(a: Side, b: Side, task: str) -> TaskComparison:
    first, second = a.records[task].primary, b.records[task].primary
    assert first and second and first.value is not None and second.value is not None, "see _without_value"
    count, paired = pair_samples(a, b, task, first.name)
    row = TaskComparison(task, first.name, first.higher_is_better, count, first.value, second.value)
    return replace(row, test=paired.test, ci95=paired.ci95, p=paired.p) if paired else row


def as_json(comparison: Comparison) -> str:
    """The whole comparison; values, differences and intervals are fractions."""
    rank_a, rank_b = comparison.mean_ranks()
    tasks = [{**asdict(task), "difference": task.difference, "outcome": task.outcome} for task in comparison.tasks]
    values = {
        "a": {"model": comparison.a.model, "folder": str(comparison.a.folder), "mean_rank": rank_a},
        "b": {"model": comparison.b.model, "folder": str(comparison.b.folder), "mean_rank": rank_b},
        "tasks": tasks,
        "wins": comparison.count("win"),
        "ties": comparison.count("tie"),
        "losses": comparison.count("loss"),
        "not_tested": comparison.count("not tested"),
        "left_out": comparison.left_out,
    }
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def as_markdown(comparison: Comparison) -> str:
    """A table with one row per task, and a summary."""
    header = ["task", "metric", "test", "outcome of B", "n", "A", "B", "B - A", "95% interval", "p", "adjusted p"]
    table = markdown_table(header, [_line(task) for task in comparison.tasks], left=4)
    sides = [
        f"- {name}: {cell(side.model)} ({cell(str(side.folder))})"
        for name, side in (("A", comparison.a), ("B", comparison.b))
    ]
    counts = {"wins": "win", "ties": "tie", "losses": "loss", "not tested": "not tested"}
    score = ", ".join(f"{words} {comparison.count(outcome)}" for words, outcome in counts.items())
    rank_a, rank_b = comparison.mean_ranks()
    notes = [
        f"B against A: {score}. Mean rank by task: A {rank_a:.2f}, B {rank_b:.2f}.",
        "Per cent, differences in points; intervals by paired bootstrap; p two-sided, adjusted for all tests by Holm's "
        f"method; a win or a loss is an adjusted p below {LEVEL}.",
        *(f"Left out: {cell(task)} ({cell(reason)})." for task, reason in comparison.left_out.items()),
    ]
    return "\n\n".join(["\n".join(sides), table.rstrip("\n"), *notes]) + "\n"


def _line(task: TaskComparison) -> list[str]:
    interval = f"[{', '.join(map(shown_difference, task.ci95))}]" if task.ci95 else "-"
    p_values = [_shown_p(task.p), _shown_p(task.adjusted_p)]
    values = [f"{task.num_samples:,}", shown(task.a), shown(task.b), shown_difference(task.difference)]
    return [cell(task.task), task.metric, task.test, task.outcome, *values, interval, *p_values]


def _shown_p(p: float | None) -> str:
    if p is None:
        return "-"
    return f"{p:.2g}" if p >= _SMALLEST else f"below {_SMALLEST:g}"
