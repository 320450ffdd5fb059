"""What accuracy costs: the primary metric of each record against what an image costs its model."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mlcd_eval.records import Result
from mlcd_eval.records.efficiency import Efficiency
from mlcd_eval.tables.identity import variants, with_label
from mlcd_eval.tables.published.standing import frontier
from mlcd_eval.tables.report.charts import ENVIRONMENT, GRID, WIDTH, Figure, ticks
from mlcd_eval.tables.text import shown

FEWEST = 2
"""Models of known cost below which there is nothing to compare."""
HEIGHT, LEFT, BOTTOM, TOP = 220, 44, 182, 10

AXES: tuple[tuple[str, Callable[[Efficiency], float | None]], ...] = (
    ("GFLOPs per image", lambda cost: cost.gflops),
    ("parameters an image passes through (M)", lambda cost: cost.num_params and cost.num_params / 1e6),
)

_COSTS = ENVIRONMENT.from_string(
    GRID
    + """\
{% for x, label, anchor in xs %}
 <text x="{{ x }}" y="{{ height - 20 }}" text-anchor="{{ anchor }}">{{ label }}</text>
{% endfor %}
 <text x="{{ (left + width - 8) / 2 }}" y="{{ height - 4 }}" text-anchor="middle">{{ unit }}, log scale</text>
{% if edge %}
 <path d="{{ edge }}" class="line s0"/>
{% endif %}
{% for x, y, name in points %}
 <path d="M{{ x }},{{ y - 7 }}l7,7l-7,7l-7,-7z" class="line s1"><title>{{ name }}</title></path>
{% endfor %}
</svg>
"""
)


@dataclass(frozen=True)
class _Point:
    cost: float
    value: float
    name: str


def costs(results: Sequence[Result]) -> list[Figure]:
    """Return a chart for each task, as it was measured, and each of AXES for which several models have a cost. A line
    joins the models that no cheaper one reaches."""
    good = [result for result in results if result.status == "ok" and result.efficiency is not None]
    labels = variants(good)
    groups: dict[tuple[str, str | None], list[Result]] = {}
    for result in good:
        if result.primary is not None and result.primary.value is not None:
            place = with_label(result.task.name, labels.label(result))
            groups.setdefault((place, result.primary_metric), []).append(result)
    figures = [_figure(place, members, unit, of) for (place, _), members in groups.items() for unit, of in AXES]
    return [figure for figure in figures if figure is not None]


def _figure(
    place: str, members: Sequence[Result], unit: str, of: Callable[[Efficiency], float | None]
) -> Figure | None:
    metric = members[0].primary
    assert metric is not None, "members have a value"
    points = [
        _Point(cost, each.primary.value, f"{each.model.name}: {shown(each.primary.value)} at {cost:,.4g}")
        for each in {each.model.name: each for each in members}.values()
        if each.primary and each.primary.value is not None and each.efficiency and (cost := of(each.efficiency))
    ]
    if len(points) < FEWEST:
        return None
    low, high = min(each.value for each in points), max(each.value for each in points)
    small, large = (math.log10(end(each.cost for each in points)) for end in (min, max))

    def x(cost: float) -> float:
        share = (math.log10(cost) - small) / (large - small) if large > small else 0.5
        return round(LEFT + 12 + (WIDTH - 34 - LEFT) * share, 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * ((value - low) / (high - low) if high > low else 0.5), 1)

    ahead = frontier([(each.cost, each.value) for each in points], metric.higher_is_better)
    best = [points[place] for place in ahead]
    caption = f"{place} {metric.name}, per cent, by {unit}"
    svg = _COSTS.render(
        summary=f"{caption}: {'; '.join(each.name for each in points)}",
        ys=[(y(tick / 100), f"{tick:g}") for tick in ticks(100 * low, 100 * high)],
        xs=[(x(10**small), f"{10**small:,.3g}", "start"), (x(10**large), f"{10**large:,.3g}", "end")],
        edge="M" + "L".join(f"{x(each.cost)},{y(each.value)}" for each in best) if len(best) > 1 else "",
        points=[(x(each.cost), y(each.value), each.name) for each in points],
        unit=unit,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
    )
    return Figure(caption, Markup(svg))  # noqa: S704 made of escaped parts
