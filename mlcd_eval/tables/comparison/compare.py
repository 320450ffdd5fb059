"""Two models, task by task, on the samples that both were scored on."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.paired import Paired, holm
from mlcd_eval.metrics.power import (
    LEVEL,
    mcnemar_detectable,
    mcnemar_images,
    t_detectable,
    t_images,
)
from mlcd_eval.records import Outcomes
from mlcd_eval.tables.comparison.pairing import PairedMetric, Side, pair_metrics, why_unpairable


@dataclass(frozen=True)
class MetricComparison:
    """One metric of one task, in the metric's unit. p and ci95 (of B - A) are None where there is no test.

    detectable: the least difference that this test finds on as many samples at POWER, at the agreement of A and B; None
    where there is no test, or where no difference is large enough. images: about how many samples it takes to find the
    difference that was measured; None for no difference.
    """

    task: str
    metric: str
    higher_is_better: bool
    num_samples: int
    a: float
    b: float
    test: str
    ci95: tuple[float, float] | None = None
    p: float | None = None
    unit: str = "fraction"
    detectable: float | None = None
    images: int | None = None

    @property
    def difference(self) -> float:
        """B - A."""
        return self.b - self.a


@dataclass(frozen=True)
class TaskComparison(MetricComparison):
    """The primary metric of one task, and `others`, the metrics beside it that have a paired test.

    adjusted_p: by Holm's method for the primary metrics of all tasks. The p values of `others` are not adjusted.
    """

    adjusted_p: float | None = None
    others: tuple[MetricComparison, ...] = ()

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
        """Of A and B over the tasks: 1 for the better value, 2 for the other, 1.5 each for equal values."""
        ahead = np.mean([np.sign(task.difference) * (1 if task.higher_is_better else -1) for task in self.tasks])
        return float(1.5 + ahead / 2), float(1.5 - ahead / 2)


def compare(a: Side, b: Side) -> Comparison:
    """Every task that both have with outcomes of samples, measured in the same way on the same data.

    The tests of the primary metrics, one per task, are one family: their p values are adjusted by Holm's method, and
    they alone make wins and losses. A task whose outcomes are damaged, or not those of its record, is left out. Raises
    DataError where there is nothing to compare.
    """
    tasks, left_out = [], {}
    for task in sorted({*a.records, *b.records}):
        reason = _without_value("A", a, task) or _without_value("B", b, task)
        if reason is None:
            reason = why_unpairable(a.records[task], b.records[task])
        if reason is None:
            try:
                tasks.append(_compare_task(a, b, task))
            except DataError as error:
                reason = str(error)
        if reason is not None:
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


def _outcomes(name: str, side: Side, task: str) -> Outcomes:
    outcomes = side.outcomes(task)
    if outcomes is None:
        how = "by an import" if "harness" in side.records[task].details else "by an earlier version"
        raise DataError(f"{name}'s record, written {how}, has no outcomes of samples")
    return outcomes


def _compare_task(a: Side, b: Side, task: str) -> TaskComparison:
    """Raises DataError for outcomes that are missing, damaged, or not those of the records."""
    outcomes = _outcomes("A", a, task), _outcomes("B", b, task)
    primary, *others = (_fields(task, row) for row in pair_metrics(a.records[task], b.records[task], *outcomes))
    return TaskComparison(**primary, others=tuple(MetricComparison(**fields) for fields in others))


def _fields(task: str, row: PairedMetric) -> dict[str, Any]:
    """The fields of a MetricComparison."""
    return {
        "task": task,
        "metric": row.a.name,
        "higher_is_better": row.a.higher_is_better,
        "num_samples": row.num_samples,
        "a": row.a.value,
        "b": row.b.value,
        "test": row.test,
        "ci95": row.paired.ci95 if row.paired else None,
        "p": row.paired.p if row.paired else None,
        "unit": row.a.unit,
        **(_power(row.paired, row.num_samples) if row.paired else {}),
    }


def _power(paired: Paired, n: int) -> dict[str, Any]:
    difference = paired.b - paired.a
    if paired.discordant is None:
        return {
            "detectable": t_detectable(n, paired.error),
            "images": t_images(n, difference, paired.error),
        }
    return {
        "detectable": mcnemar_detectable(n, paired.discordant),
        "images": mcnemar_images(paired.discordant, difference),
    }


def as_json(comparison: Comparison) -> str:
    """All of it; values, differences and intervals in each metric's unit. `metrics` of a task: its other metrics."""
    rank_a, rank_b = comparison.mean_ranks()
    values = {
        "a": {"model": comparison.a.model, "folder": str(comparison.a.folder), "mean_rank": rank_a},
        "b": {"model": comparison.b.model, "folder": str(comparison.b.folder), "mean_rank": rank_b},
        "tasks": [_task_as_json(task) for task in comparison.tasks],
        "wins": comparison.count("win"),
        "ties": comparison.count("tie"),
        "losses": comparison.count("loss"),
        "not_tested": comparison.count("not tested"),
        "left_out": comparison.left_out,
    }
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _task_as_json(task: TaskComparison) -> dict[str, Any]:
    fields = {**asdict(task), "difference": task.difference, "outcome": task.outcome}
    del fields["others"]
    return {**fields, "metrics": [{**asdict(other), "difference": other.difference} for other in task.others]}
