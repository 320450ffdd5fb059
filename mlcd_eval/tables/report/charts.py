"""Charts as inline SVG: drawn at their natural size, coloured by the page's classes s0 to s7, names escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import jinja2
from markupsafe import Markup

from mlcd_eval.tables.text import shown, shown_difference

COLOURS = 8
DASHES = ("none", "6 3", "2 3", "9 3 2 3", "12 4")  # for readers who see no colours; 5 and 8 share no factor: 40 styles
WIDTH = 320  # pixels; fits a phone
LINE_HEIGHT = 14

ENVIRONMENT = jinja2.Environment(
    autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
)
_BAR = ENVIRONMENT.from_string("""\
<svg aria-hidden="true" width="{{ width }}" height="12">\
<rect x="{{ x }}" y="2" width="{{ length }}" height="8" class="{{ kind }}"/>\
<line x1="{{ zero }}" x2="{{ zero }}" y1="0" y2="12" class="axis"/></svg>""")
_RADAR = ENVIRONMENT.from_string("""\
<svg role="img" aria-label="{{ summary }}" width="{{ 2 * centre.0 }}" height="{{ 2 * centre.1 }}">
{% for ring in rings %}
 <polygon points="{{ ring }}" class="grid"/>
{% endfor %}
{% for axis in axes %}
 <line x1="{{ centre.0 }}" y1="{{ centre.1 }}" x2="{{ axis.rim.0 }}" y2="{{ axis.rim.1 }}" class="grid"/>
 <text font-size="11" text-anchor="{{ axis.anchor }}"
  transform="translate({{ axis.at.0 }} {{ axis.at.1 }}) rotate({{ axis.turn }})">
  <title>{{ axis.name }}</title>
 {% for line in axis.lines %}
  <tspan x="0" y="{{ axis.baseline + line_height * loop.index0 }}">{{ line }}</tspan>
 {% endfor %}
 </text>
{% endfor %}
{% for shape in shapes %}
 <polygon points="{{ shape.points }}" class="line s{{ shape.colour }}" stroke-dasharray="{{ shape.dash }}"/>
{% endfor %}
</svg>
""")
GRID = """\
<svg role="img" aria-label="{{ summary }}" width="{{ width }}" height="{{ height }}">
{% for y, label in ys %}
 <line x1="{{ left }}" x2="{{ width - 8 }}" y1="{{ y }}" y2="{{ y }}" class="grid"/>
 <text x="{{ left - 6 }}" y="{{ y + 4 }}" text-anchor="end">{{ label }}</text>
{% endfor %}
"""
"""The start of a chart with a vertical axis: one line per tick of `ys`."""
_LINES = ENVIRONMENT.from_string(
    GRID
    + """\
{% for x, label in xs %}
 <text x="{{ x }}" y="{{ height - 18 }}" text-anchor="middle">{{ label }}</text>
{% endfor %}
 <text x="{{ (left + width - 8) / 2 }}" y="{{ height - 3 }}" text-anchor="middle">step</text>
{% for path in paths %}
 <path d="{{ path.d }}" class="line s{{ path.colour }}" stroke-dasharray="{{ path.dash }}"/>
{% endfor %}
</svg>
"""
)
_SWATCH = ENVIRONMENT.from_string("""\
<svg aria-hidden="true" width="34" height="10"><path d="M1,5h32" class="line s{{ colour }}" \
stroke-dasharray="{{ dash }}"/></svg>""")


@dataclass(frozen=True)
class Figure:
    """A chart with its caption; legend: (swatch, name) of each line, where there are several."""

    caption: str
    svg: Markup
    legend: list[tuple[Markup, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Bar:
    """A difference of fractions. better: whether it is an improvement; opens: the place of its provenance."""

    label: str
    delta: float
    better: bool
    opens: int


@dataclass(frozen=True)
class Bars:
    """A chart with its caption; rows: (label, difference as text, bar, place of its provenance)."""

    caption: str
    rows: list[tuple[str, str, Markup, int]]


def delta_bars(caption: str, bars: Sequence[Bar], span: tuple[float, float]) -> Bars:
    """Horizontal bars from zero, the largest difference first; span: the ends of the axis, with 0 between."""
    low, high = span
    scale = WIDTH / (high - low) if high > low else 0.0
    rows = []
    for bar in sorted(bars, key=lambda bar: -bar.delta):
        svg = _BAR.render(
            width=WIDTH,
            x=round((min(bar.delta, 0.0) - low) * scale, 1),
            length=round(abs(bar.delta) * scale, 1),
            zero=round(-low * scale, 1) if scale else WIDTH / 2,
            kind="better" if bar.better else "worse",
        )
        rows.append((bar.label, shown_difference(bar.delta), Markup(svg), bar.opens))  # noqa: S704 made of escaped parts
    return Bars(caption, rows)


def radar(caption: str, axes: Sequence[str], models: Sequence[tuple[str, Sequence[float]]]) -> Figure:
    """One polygon per model over three or more axes, each from 0 at the centre to its best value at the rim."""
    assert len(axes) >= 3, "a polygon needs three corners"
    best = [max(values[place] for _, values in models) for place in range(len(axes))]
    crowded = len(axes) > 12  # labels are then drawn along their spokes
    centre, radius = ((320, 320), 120) if crowded else ((174, 140), 76)

    def point(place: int, distance: float) -> tuple[float, float]:
        angle = 2 * math.pi * place / len(axes)
        return round(centre[0] + distance * math.sin(angle), 1), round(centre[1] - distance * math.cos(angle), 1)

    def outline(distances: Iterable[float]) -> str:
        return " ".join(f"{x},{y}" for x, y in (point(place, far) for place, far in enumerate(distances)))

    labels = []
    for place, (name, top) in enumerate(zip(axes, best, strict=True)):
        degrees = 360 * place / len(axes)
        up, right = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        if crowded:
            lines, turn = [f"{_short(name, 26)} {shown(top)}"], degrees - (90 if right >= 0 else 270)
            anchor, baseline = "start" if right >= 0 else "end", 4
        else:
            lines, turn = [*(_short(part, 15) for part in name.split("/", 1)), shown(top)], 0.0
            anchor = "start" if right > 0.1 else "end" if right < -0.1 else "middle"
            rise = 1.0 if up > 0.5 else 0.0 if up < -0.5 else 0.5  # the part of the text that is above its point
            baseline = round(10 - LINE_HEIGHT * len(lines) * rise)
        spot = {"rim": point(place, radius), "at": point(place, radius + 8), "turn": round(turn, 1)}
        labels.append({**spot, "name": name, "anchor": anchor, "baseline": baseline, "lines": lines})
    shapes = [
        {
            **style(place),
            "points": outline(radius * value / top if top else 0.0 for value, top in zip(values, best, strict=True)),
        }
        for place, (_, values) in enumerate(models)
    ]
    svg = _RADAR.render(
        summary=_summary(caption, [(name, ", ".join(map(shown, values))) for name, values in models]),
        centre=centre,
        line_height=LINE_HEIGHT,
        rings=[outline([radius * part / 4] * len(axes)) for part in (1, 2, 3, 4)],
        axes=labels,
        shapes=shapes,
    )
    return Figure(caption, Markup(svg), [(swatch(place), name) for place, (name, _) in enumerate(models)])  # noqa: S704 made of escaped parts


def curves(caption: str, steps: Sequence[int], series: Sequence[tuple[str, Sequence[float | None]]]) -> Figure:
    """Lines over steps; None leaves a gap."""
    known = [value for _, values in series for value in values if value is not None]
    assert known, f"{caption}: nothing to draw"
    width, height, left, bottom = WIDTH, 200, 44, 166
    low, high, first, last = min(known), max(known), min(steps), max(steps)

    def x(step: float) -> float:
        return round(left + (width - 18 - left) * ((step - first) / (last - first) if last > first else 0.5), 1)

    def y(value: float) -> float:
        return round(bottom - (bottom - 10) * ((value - low) / (high - low) if high > low else 0.5), 1)

    svg = _LINES.render(
        summary=_summary(caption, [(name, _course(values)) for name, values in series]),
        ys=[(y(tick), f"{tick:g}") for tick in ticks(low, high)],
        xs=[(x(step), f"{step:g}") for step in ticks(first, last)],
        paths=[{**style(place), "d": _path(steps, values, x, y)} for place, (_, values) in enumerate(series)],
        width=width,
        height=height,
        left=left,
    )
    legend = [(swatch(place), name) for place, (name, _) in enumerate(series)] if len(series) > 1 else []
    return Figure(caption, Markup(svg), legend)  # noqa: S704 made of escaped parts


def _path(
    steps: Sequence[int],
    values: Sequence[float | None],
    x: Callable[[float], float],
    y: Callable[[float], float],
) -> str:
    """An SVG path that starts anew after a gap; `h0` makes a lone point a dot."""
    parts: list[str] = []
    pen = "M"
    for step, value in zip(steps, values, strict=True):
        if value is None:
            pen = "M"
            continue
        parts.append(f"{pen}{x(step)},{y(value)}" + ("h0" if pen == "M" else ""))
        pen = "L"
    return "".join(parts)


def ticks(low: float, high: float) -> list[float]:
    """Two to six round numbers (1, 2 or 5 times a power of ten apart) between low and high, or low where both agree."""
    if high <= low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / 5))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 5)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)  # 0.35 / 0.05 is below 7
    return [round(place * step, 12) for place in range(first, last + 1)]


def style(place: int) -> dict[str, int | str]:
    """Return the colour and the dashes of a chart's line."""
    return {"colour": place % COLOURS, "dash": DASHES[place % len(DASHES)]}


def swatch(place: int) -> Markup:
    """A short piece of the line in this place, for a legend."""
    return Markup(_SWATCH.render(style(place)))  # noqa: S704 made of escaped parts


def _course(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"from {known[0]:.4g} to {known[-1]:.4g}" if known else "no values"


def _summary(caption: str, parts: Iterable[tuple[object, object]]) -> str:
    """The chart in words, for screen readers."""
    return f"{caption}: " + "; ".join(f"{name} {value}" for name, value in parts)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
