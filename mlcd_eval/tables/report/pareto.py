"""Accuracy against the size of models: published ones, the frontier of these, and the records' own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mlcd_eval.tables.formats import By
from mlcd_eval.tables.published.standing import Standing, fraction, frontier, size_of
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series, value_axis

AXES: tuple[tuple[By, str], ...] = (("gflops", "GFLOPs"), ("parameters", "parameters (M)"))
FEWEST = 3
"""Published models of known size below which there is nothing to see."""


def pareto(standings: Sequence[Standing]) -> list[Chart]:
    """Two charts per task and metric, by GFLOPs and by parameters, where enough published models have a known size."""
    groups: dict[tuple[str, str], list[Standing]] = {}
    for standing in standings:
        groups.setdefault((standing.result.task.name, standing.metric.name), []).append(standing)
    charts = [_chart(members, by, unit) for members in groups.values() for by, unit in AXES]
    return [chart for chart in charts if chart is not None]


def front(
    name: str, points: Sequence[Point], higher_is_better: bool, labelled: bool = False, speed: bool = False
) -> Series:
    """The line through the points that no other beats in both size and value; speed: the larger a size the better."""
    numbers = (int, float)
    sign = -1 if speed else 1
    pairs = [
        (sign * point.x, point.y) for point in points if isinstance(point.x, numbers) and isinstance(point.y, numbers)
    ]
    assert len(pairs) == len(points), "sizes and values are numbers"
    best = [replace(points[place], ci95=None) for place in frontier(pairs, higher_is_better)]
    return Series(name, best, line=True, dots=False, labelled=labelled)


def _chart(members: Sequence[Standing], by: By, unit: str) -> Chart | None:
    metric = members[0].metric
    numbers = dict.fromkeys(number for each in members for number in (*each.others, *each.same_model))
    others = [
        Point(size, fraction(number), note=number.label)
        for number in numbers
        if (size := size_of(number, by)) is not None
    ]
    own = [
        Point(size, each.value, each.metric.ci95, note=each.result.model.name)
        for each in members
        if (size := each.size(by)) is not None
    ]
    if len(others) < FEWEST or not own:
        return None
    series = [
        Series("published models", others, tone="muted"),
        Series("models of the records", own, labelled=True),
        front("published ones that no smaller one beats", others, metric.higher_is_better),
    ]
    title = f"{members[0].result.task.name} {metric.name} by {unit}"
    return Chart(title, Axis(unit, scale="log"), value_axis(metric), series)
