"""What accuracy costs: the primary metric of each record against what an image costs its model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mlcd_eval.records import Result
from mlcd_eval.records.efficiency import Efficiency
from mlcd_eval.tables.identity import variants, with_label
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series, value_axis
from mlcd_eval.tables.report.pareto import front

FEWEST = 2
"""Models of known cost below which there is nothing to compare."""

AXES: tuple[tuple[str, Callable[[Efficiency], float | None]], ...] = (
    ("GFLOPs per image", lambda cost: cost.gflops),
    ("parameters an image passes through (M)", lambda cost: cost.num_params and cost.num_params / 1e6),
)


def costs(results: Sequence[Result]) -> list[Chart]:
    """Return a chart for each task, as it was measured, and each of AXES for which several models have a cost. A line
    joins the models that no cheaper one reaches."""
    good = [result for result in results if result.status == "ok" and result.efficiency is not None]
    labels = variants(good)
    groups: dict[tuple[str, str | None], list[Result]] = {}
    for result in good:
        if result.primary is not None and result.primary.value is not None:
            place = with_label(result.task.name, labels.label(result))
            groups.setdefault((place, result.primary_metric), []).append(result)
    charts = [_chart(place, members, unit, of) for (place, _), members in groups.items() for unit, of in AXES]
    return [chart for chart in charts if chart is not None]


def _chart(place: str, members: Sequence[Result], unit: str, of: Callable[[Efficiency], float | None]) -> Chart | None:
    models = {each.model.name: (cost, each.primary) for each in members if (cost := _cost(each, of)) and each.primary}
    if len(models) < FEWEST:
        return None
    metric = next(iter(models.values()))[1]
    points = [Point(cost, own.value, own.ci95, note=name) for name, (cost, own) in models.items()]
    series = [
        Series("models", points),
        front("those that no cheaper one reaches", points, metric.higher_is_better, labelled=True),
    ]
    return Chart(f"{place} {metric.name} by {unit}", Axis(unit, scale="log"), value_axis(metric), series)


def _cost(result: Result, of: Callable[[Efficiency], float | None]) -> float | None:
    return of(result.efficiency) if result.efficiency else None
