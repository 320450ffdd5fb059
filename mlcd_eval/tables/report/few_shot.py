"""Few-shot curves: the mean over draws by the number of train images per class, a line per model."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mlcd_eval.metrics.distributions import t_isf
from mlcd_eval.records import Result
from mlcd_eval.tables.identity import SHOTS, facts, variants, with_label
from mlcd_eval.tables.report.charts import ENVIRONMENT, GRID, WIDTH, Figure, style, swatch, ticks
from mlcd_eval.tables.text import shown

HEIGHT, LEFT, BOTTOM, TOP = 220, 44, 182, 12
SHIFT = 2.5  # pixels between the whiskers of models

_CURVES = ENVIRONMENT.from_string(
    GRID
    + """\
{% for x, label in xs %}
 <text x="{{ x }}" y="{{ height - 20 }}" text-anchor="middle">{{ label }}</text>
{% endfor %}
 <text x="{{ (left + width - 8) / 2 }}" y="{{ height - 4 }}" text-anchor="middle">train images per class</text>
{% for line in lines %}
 <path d="{{ line.d }}" class="line s{{ line.colour }}" stroke-dasharray="{{ line.dash }}"/>
{% for x, y, low, high, words in line.points %}
 <path d="M{{ x }},{{ low }}V{{ high }}" class="grid s{{ line.colour }}"/>
 <circle cx="{{ x }}" cy="{{ y }}" r="2.5" class="line s{{ line.colour }}"><title>{{ words }}</title></circle>
{% endfor %}
{% endfor %}
</svg>
"""
)


@dataclass(frozen=True)
class Point:
    """The mean over the draws of one number of shots, with its 95% interval; fewer: classes with fewer images."""

    shots: int
    value: float
    interval: tuple[float, float]
    draws: int
    fewer: int

    @property
    def words(self) -> str:
        """`shots=4: 61.20 [59.0, 63.4], 5 draws`."""
        ends = ", ".join(shown(end, decimals=1) for end in self.interval)
        over = f" [{ends}], {self.draws} draws" if self.draws > 1 else ""
        fewer = f", classes with fewer images: {self.fewer}" if self.fewer else ""
        return f"shots={self.shots}: {shown(self.value)}{over}{fewer}"


def few_shot_curves(results: Sequence[Result]) -> list[Figure]:
    """Return a chart for each task and metric whose records differ in shots alone: a line per model, with the interval
    of the mean over draws, by Student's t, at each number of shots."""
    few = [result for result in results if result.status == "ok" and result.task.settings.get("shots")]
    labels = variants(few, lambda result: (result.task.name, result.task.settings["shots"]), lambda _: (SHOTS,))
    groups: dict[tuple[tuple[str, str], ...], dict[str, dict[int, Point]]] = {}
    captions: dict[tuple[tuple[str, str], ...], str] = {}
    for result in few:
        metric = result.primary
        if metric is None or metric.value is None:
            continue
        alike = {name: value for name, value in facts(result).items() if name != SHOTS}
        key = tuple(sorted({**alike, "metric": metric.name}.items()))
        point = _point(result, metric.name, metric.value)
        groups.setdefault(key, {}).setdefault(result.model.name, {})[point.shots] = point
        captions.setdefault(key, f"{with_label(result.task.name, labels.label(result))}: {metric.name}")
    return [
        _chart(captions[key], models)
        for key, models in groups.items()
        if any(len(points) > 1 for points in models.values())
    ]


def _point(result: Result, metric: str, value: float) -> Point:
    draws = [trial[metric] for trial in result.details.get("trials", ()) if trial.get(metric) is not None]
    reach = 0.0
    if len(draws) > 1:
        reach = t_isf(0.025, len(draws) - 1) * statistics.stdev(draws) / math.sqrt(len(draws))
    fewer = result.details.get("classes_with_fewer_shots", 0)
    return Point(result.task.settings["shots"], value, (value - reach, value + reach), max(1, len(draws)), fewer)


def _chart(caption: str, by_shots: Mapping[str, Mapping[int, Point]]) -> Figure:
    models = {model: [points[shots] for shots in sorted(points)] for model, points in by_shots.items()}
    points = [point for of_model in models.values() for point in of_model]
    ends = [end for point in points for end in point.interval]
    low, high, shots = min(ends), max(ends), sorted({point.shots for point in points})
    first, last = math.log2(shots[0]), math.log2(shots[-1])

    def x(number: int) -> float:
        return round(LEFT + 12 + (WIDTH - 32 - LEFT) * ((math.log2(number) - first) / (last - first)), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * ((value - low) / (high - low) if high > low else 0.5), 1)

    lines = []
    for place, of_model in enumerate(models.values()):
        shift = SHIFT * (place - (len(models) - 1) / 2)
        spots = [(x(point.shots) + shift, y(point.value), *map(y, point.interval), point.words) for point in of_model]
        lines.append({**style(place), "d": "M" + "L".join(f"{a},{b}" for a, b, *_ in spots), "points": spots})
    words = "; ".join(f"{model} {', '.join(point.words for point in of_model)}" for model, of_model in models.items())
    svg = _CURVES.render(
        summary=f"{caption}: {words}",
        ys=[(y(tick), shown(tick, decimals=0)) for tick in ticks(low, high)],
        xs=[(x(number), str(number)) for number in shots],
        lines=lines,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
    )
    return Figure(caption, Markup(svg), [(swatch(place), model) for place, model in enumerate(models)])  # noqa: S704 made of escaped parts
