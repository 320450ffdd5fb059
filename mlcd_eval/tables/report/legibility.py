"""Curves of legibility: the share of words that the reading probe reads, by the height of their letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mlcd_eval.records import Result
from mlcd_eval.tables.report.charts import ENVIRONMENT, GRID, WIDTH, Figure, style, swatch
from mlcd_eval.tables.text import shown

HEIGHT, LEFT, BOTTOM, TOP = 220, 44, 182, 12
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)

_CURVES = ENVIRONMENT.from_string(
    GRID
    + """\
{% for x, label in xs %}
 <text x="{{ x }}" y="{{ height - 20 }}" text-anchor="middle">{{ label }}</text>
{% endfor %}
 <text x="{{ (left + width - 8) / 2 }}" y="{{ height - 4 }}" text-anchor="middle">letter height from, in pixels</text>
{% for line in lines %}
 <path d="{{ line.d }}" class="line s{{ line.colour }}" stroke-dasharray="{{ line.dash }}"/>
{% for x, y, words in line.points %}
 <circle cx="{{ x }}" cy="{{ y }}" r="3" class="line s{{ line.colour }}"><title>{{ words }}</title></circle>
{% endfor %}
{% endfor %}
</svg>
"""
)


def legibility(results: Sequence[Result]) -> list[Figure]:
    """Return a chart for each task with the reading probe: a curve of each model, and one of each control."""
    by_task: dict[str, list[Result]] = {}
    for result in results:
        if result.status == "ok" and result.details.get("reading"):
            by_task.setdefault(result.task.name, []).append(result)
    return [_chart(task, of_task) for task, of_task in by_task.items()]


def _chart(task: str, results: Sequence[Result]) -> Figure:
    curves = [(result.model.name, result.details["reading"]["curve"]) for result in results]
    controls = {
        control["name"]: control["curve"]
        for result in results
        for control in result.details.get("controls", ())
        if "curve" in control
    }
    curves += controls.items()
    starts = sorted({entry["from"] for _, curve in curves for entry in curve})
    step = (WIDTH - 32 - LEFT) / max(1, len(starts) - 1)
    place_of = {start: round(LEFT + 12 + step * number, 1) for number, start in enumerate(starts)}
    lines: list[dict[str, Any]] = []
    for number, (name, curve) in enumerate(curves):
        points = [(place_of[entry["from"]], _y(entry["word_accuracy"]), _words(name, entry)) for entry in curve]
        lines.append({**style(number), "d": "M" + "L".join(f"{x},{y}" for x, y, _ in points), "points": points})
    legible = [f"{result.model.name} {_smallest(result)}" for result in results]
    caption = f"{task}: smallest legible letter of {', '.join(legible)}"
    svg = _CURVES.render(
        summary=f"{caption}; {'; '.join(words for line in lines for *_, words in line['points'])}",
        ys=[(_y(tick), shown(tick, decimals=0)) for tick in TICKS],
        xs=[(place_of[start], f"{start:g}") for start in starts],
        lines=lines,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
    )
    return Figure(caption, Markup(svg), [(swatch(number), name) for number, (name, _) in enumerate(curves)])  # noqa: S704 made of escaped parts


def _y(share: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * share, 1)


def _smallest(result: Result) -> str:
    pixels = result.details["reading"]["smallest_legible_letter"]
    return "none" if pixels is None else f"{pixels:g} pixels"


def _words(name: str, entry: Mapping[str, Any]) -> str:
    ends = f"from {entry['from']:g}" + ("" if entry["to"] is None else f" to {entry['to']:g}")
    return f"{name}, {ends} pixels: {shown(entry['word_accuracy'], decimals=1)} of {entry['words']} words"
