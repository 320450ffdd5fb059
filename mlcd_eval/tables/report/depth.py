"""Best layers: how well probes of each block and of the output do on the rows that choose among them, one chart per
record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from mlcd_eval.encoders.base import PENULTIMATE
from mlcd_eval.encoders.layers import parsed
from mlcd_eval.records import Result
from mlcd_eval.tables.report.charts import ENVIRONMENT, GRID, WIDTH, Figure, style, swatch, ticks
from mlcd_eval.tables.text import shown, shown_metric

HEIGHT, LEFT, BOTTOM, TOP = 220, 44, 182, 12
SHIFT = 2.5  # pixels between the whiskers of one block

_DEPTH = ENVIRONMENT.from_string(
    GRID
    + """\
{% for x, label in xs %}
 <text x="{{ x }}" y="{{ height - 20 }}" text-anchor="middle">{{ label }}</text>
{% endfor %}
 <text x="{{ (left + width - 8) / 2 }}" y="{{ height - 4 }}" text-anchor="middle">block</text>
{% for line in lines %}
 <path d="{{ line.d }}" class="{{ line.kind }} s{{ line.colour }}" stroke-dasharray="{{ line.dash }}"/>
{% for x, low, high, words in line.whiskers %}
 <path d="M{{ x }},{{ low }}V{{ high }}" class="grid s{{ line.colour }}"><title>{{ words }}</title></path>
{% endfor %}
{% endfor %}
{% if best %}
 <circle cx="{{ best.0 }}" cy="{{ best.1 }}" r="5" class="line s{{ best.2 }}"><title>{{ best.3 }}</title></circle>
{% endif %}
</svg>
"""
)


def best_layers(results: Sequence[Result]) -> list[Figure]:
    """Return a chart for each record that chose its layer: the scores of every block, a line per pooling, and of the
    output, with their 95% intervals, and a circle around the chosen one."""
    return [_chart(result) for result in results if result.status == "ok" and result.details.get("layers")]


def _chart(result: Result) -> Figure:
    curve: Sequence[Mapping[str, Any]] = [line for line in result.details["layers"] if line["score"] is not None]
    blocks = [(name.number, "+".join(name.poolings), line) for line in curve if (name := parsed(line["layer"]))]
    depth = max(number for number, _, _ in blocks)
    named = [*blocks, *((depth + 1, PENULTIMATE, line) for line in curve if line["layer"] == PENULTIMATE)]
    ways = list(dict.fromkeys(way for _, way, _ in named))
    ends = [end for _, _, line in named for end in (line["score"], *(line["ci95"] or ()))]
    low, high, last = min(ends), max(ends), max(number for number, _, _ in named)

    def x(block: float) -> float:
        return round(LEFT + 12 + (WIDTH - 32 - LEFT) * ((block - 1) / (last - 1) if last > 1 else 0.5), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * ((value - low) / (high - low) if high > low else 0.5), 1)

    chosen, lines = result.details["layer"], []
    best: tuple[float, float, int, str] | None = None
    for place, way in enumerate(ways):
        own = [(number, line) for number, of_line, line in named if of_line == way]
        shift = SHIFT * (place - (len(ways) - 1) / 2)
        points = [(x(block) + shift, y(line["score"])) for block, line in own]
        whiskers = [
            (x(block) + shift, *(y(end) for end in line["ci95"]), _words(line)) for block, line in own if line["ci95"]
        ]
        path = "M" + "L".join(f"{a},{b}" for a, b in points) + ("h0" if len(points) == 1 else "")
        shape = {"kind": "line"} if len(points) > 1 else {"kind": "dots", "dash": "none"}
        lines.append({**style(place), **shape, "d": path, "whiskers": whiskers})
        best = next(
            ((*spot, place, _words(line)) for spot, (_, line) in zip(points, own, strict=True)
             if line["layer"] == chosen), best
        )  # fmt: skip
    metric = result.primary
    reported = f", {metric.name} {shown_metric(metric)} on test" if metric is not None else ""
    caption = f"{result.model.name}, {result.task.name}: {chosen} is best{reported}"
    svg = _DEPTH.render(
        summary=f"{caption}; {'; '.join(_words(line) for _, _, line in named)}",
        ys=[(y(tick), shown(tick, decimals=0)) for tick in ticks(low, high)],
        xs=[(x(tick), f"{tick:g}") for tick in ticks(1, depth) if tick == round(tick)],
        lines=lines,
        best=best,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
    )
    return Figure(caption, Markup(svg), [(swatch(place), way) for place, way in enumerate(ways)])  # noqa: S704 made of escaped parts


def _words(line: Mapping[str, Any]) -> str:
    interval = f" [{', '.join(shown(end, decimals=1) for end in line['ci95'])}]" if line["ci95"] else ""
    return f"{line['layer']} {shown(line['score'])}{interval}"
