"""Accuracy against the size of models: published ones, the frontier of these, and the records' own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mlcd_eval.tables.formats import By
from mlcd_eval.tables.published import PublishedNumber
from mlcd_eval.tables.published.standing import Standing, fraction, frontier, size_of
from mlcd_eval.tables.report.charts import ENVIRONMENT, GRID, WIDTH, Figure, ticks
from mlcd_eval.tables.text import shown

AXES: tuple[tuple[By, str], ...] = (("gflops", "GFLOPs"), ("parameters", "parameters (M)"))
FEWEST = 3
"""Published models of known size below which there is nothing to see."""
MOST_TICKS = 5
HEIGHT, LEFT, BOTTOM = 220, 44, 182

_PARETO = ENVIRONMENT.from_string(
    GRID
    + """\
{% for x, label in xs %}
 <text x="{{ x }}" y="{{ height - 20 }}" text-anchor="middle">{{ label }}</text>
{% endfor %}
 <text x="{{ (left + width - 8) / 2 }}" y="{{ height - 4 }}" text-anchor="middle">{{ unit }}, log scale</text>
 <path d="{{ dots }}" class="dots s7"/>
 <path d="{{ edge }}" class="line s0"/>
{% for x, y, name in corners %}
 <circle cx="{{ x }}" cy="{{ y }}" r="3.5" class="line s0"><title>{{ name }}</title></circle>
{% endfor %}
{% for x, y, name in own %}
 <path d="M{{ x }},{{ y - 7 }}l7,7l-7,7l-7,-7z" class="line s1"><title>{{ name }}</title></path>
{% endfor %}
</svg>
"""
)


@dataclass(frozen=True)
class _Point:
    size: float
    value: float
    name: str


def pareto(standings: Sequence[Standing]) -> list[Figure]:
    """Two charts per task and metric, by GFLOPs and by parameters, where enough published models have a known size."""
    groups: dict[tuple[str, str], list[Standing]] = {}
    for standing in standings:
        groups.setdefault((standing.result.task.name, standing.metric.name), []).append(standing)
    figures = []
    for members in groups.values():
        for by, unit in AXES:
            figure = _figure(members, by, unit)
            if figure is not None:
                figures.append(figure)
    return figures


def _figure(members: Sequence[Standing], by: By, unit: str) -> Figure | None:
    first = members[0]
    numbers = dict.fromkeys(number for each in members for number in (*each.others, *each.same_model))
    others = [point for number in numbers if (point := _published(number, by)) is not None]
    own = [
        _Point(size, each.value, f"{each.result.model.name}: {shown(each.value)}")
        for each in members
        if (size := each.size(by)) is not None
    ]
    if len(others) < FEWEST or not own:
        return None
    best = [others[place] for place in frontier([(each.size, each.value) for each in others], _up(first))]
    points = [*others, *own]
    low, high = min(each.value for each in points), max(each.value for each in points)
    small, large = (math.log10(end([each.size for each in points])) for end in (min, max))

    def x(size: float) -> float:
        return round(LEFT + 8 + (WIDTH - 26 - LEFT) * _share(math.log10(size), small, large), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - 10) * _share(value, low, high), 1)

    caption = f"{first.result.task.name} {first.metric.name}, per cent, by {unit}"
    svg = _PARETO.render(
        summary=f"{caption}: {len(others)} published models; "
        + "; ".join(f"{each.name} at {each.size:,.1f}" for each in own),
        ys=[(y(tick / 100), f"{tick:g}") for tick in ticks(100 * low, 100 * high)],
        xs=[(x(tick), f"{tick:,g}") for tick in _log_ticks(10**small, 10**large)],
        dots="".join(f"M{x(each.size)},{y(each.value)}h0" for each in others),
        edge="M" + "L".join(f"{x(each.size)},{y(each.value)}" for each in best),
        corners=[(x(each.size), y(each.value), each.name) for each in best],
        own=[(x(each.size), y(each.value), each.name) for each in own],
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        unit=unit,
    )
    return Figure(caption, Markup(svg))  # noqa: S704 made of escaped parts


def _published(number: PublishedNumber, by: By) -> _Point | None:
    size = size_of(number, by)
    return None if size is None else _Point(size, fraction(number), f"{number.label}: {shown(number.fraction)}")


def _up(standing: Standing) -> bool:
    return standing.metric.higher_is_better


def _share(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) if high > low else 0.5


def _log_ticks(low: float, high: float) -> list[float]:
    """The numbers 1, 2 and 5 times a power of ten between low and high, or the powers alone where there are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    several = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    known = [tick for tick in several if low <= tick <= high]
    return known if len(known) <= MOST_TICKS else [tick for tick in known if math.log10(tick).is_integer()]
