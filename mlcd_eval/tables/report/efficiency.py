"""What accuracy costs: the mean score of models, and the primary metric of each record, against what an image costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from mlcd_eval.records import Result
from mlcd_eval.records.efficiency import Efficiency
from mlcd_eval.tables.comparison.overall import Overall
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series, value_axis
from mlcd_eval.tables.report.pareto import front
from mlcd_eval.tables.variants import variants, with_label

FEWEST = 2
"""Different costs below which there is nothing to compare."""
MOST = 600
"""Numbers of a page beyond which it has the charts of the mean score only."""


@dataclass(frozen=True)
class _Cost:
    """An axis. of: a record's efficiency -> its cost, None where it is not known. speed: the more the cheaper."""

    unit: str
    of: Callable[[Efficiency], float | None]
    speed: bool = False


def costs(results: Sequence[Result], standing: Overall | None = None) -> dict[str, Any] | None:
    """The charts for the template, each with a line through the models that no cheaper one reaches; None without any.

    mean: of the scores over all tasks, with standing; tasks: of each task as it was measured, for at most MOST numbers.
    """
    good = [result for result in results if result.efficiency is not None and _value(result) is not None]
    axes = _axes(good)
    mean = [_of_scores(good, standing, axis) for axis in axes] if standing and standing.scored else []
    labels = variants(good)
    groups: dict[tuple[str, str | None], list[Result]] = {}
    for result in good if len(good) <= MOST else ():
        place = with_label(result.task.name, labels.label(result))
        groups.setdefault((place, result.primary_metric), []).append(result)
    tasks = [_of_task(place, members, axis) for (place, _), members in groups.items() for axis in axes]
    charts = {"mean": [*filter(None, mean)], "tasks": [*filter(None, tasks)]}
    return charts if any(charts.values()) else None


def _axes(results: Sequence[Result]) -> list[_Cost]:
    """What an image costs anywhere, and how fast each machine was, since speeds of different ones do not compare."""
    machines = dict.fromkeys(filter(None, (_machine(each.efficiency) for each in results if each.efficiency)))

    def speed(machine: str) -> Callable[[Efficiency], float | None]:
        return lambda cost: cost.images_per_s if _machine(cost) == machine else None

    return [
        _Cost("GFLOPs per image", lambda cost: cost.gflops),
        _Cost("parameters an image passes through (M)", lambda cost: cost.num_params and cost.num_params / 1e6),
        *(_Cost(f"images/s on {machine}", speed(machine), speed=True) for machine in machines),
    ]


def _machine(cost: Efficiency) -> str | None:
    """The machine and how it was used, None where no speed is known."""
    of = cost.measured
    if of is None or cost.images_per_s is None:
        return None
    processes = f", {of.ranks} ranks" if of.ranks > 1 else ""
    cores = f", {of.threads} thread{'s' if of.threads != 1 else ''}" if of.device == "cpu" else ""
    return f"{of.device_name}{cores}{processes}, {of.precision}"


def _of_scores(results: Sequence[Result], standing: Overall, axis: _Cost) -> Chart | None:
    """The score of each model by the median of its records' costs."""
    known: dict[str, list[float]] = defaultdict(list)
    for result in results:
        if (cost := _cost(result, axis)) is not None:
            known[result.model.name].append(cost)
    points = [
        Point(median(known[model]), each.score, each.score_ci95, note=model)
        for model, each in standing.models.items()
        if model in known and each.score is not None
    ]
    return _chart("score", points, axis, Axis("score, the mean above chance", unit="fraction"))


def _of_task(place: str, members: Sequence[Result], axis: _Cost) -> Chart | None:
    metric = members[0].primary
    assert metric is not None, "a record with a value has its metric"
    known = {each.model.name: (cost, each.primary) for each in members if (cost := _cost(each, axis)) is not None}
    points = [Point(cost, own.value, own.ci95, note=name) for name, (cost, own) in known.items() if own is not None]
    return _chart(f"{place} {metric.name}", points, axis, value_axis(metric), metric.higher_is_better)


def _chart(what: str, points: Sequence[Point], axis: _Cost, values: Axis, higher: bool = True) -> Chart | None:
    if len({point.x for point in points}) < FEWEST:
        return None
    name = f"those that no {'faster' if axis.speed else 'cheaper'} one reaches"
    series = [Series("models", points), front(name, points, higher, labelled=True, speed=axis.speed)]
    return Chart(f"{what} by {axis.unit}", Axis(axis.unit, scale="log"), values, series)


def _cost(result: Result, axis: _Cost) -> float | None:
    return (axis.of(result.efficiency) if result.efficiency else None) or None  # 0 has no place on a log scale


def _value(result: Result) -> float | None:
    return result.primary.value if result.status == "ok" and result.primary else None
