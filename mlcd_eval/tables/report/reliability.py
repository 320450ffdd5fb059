"""How far predictions can be relied on: tables of metrics, and reliability diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from mlcd_eval.data.alterations.names import CORRUPTIONS
from mlcd_eval.metrics.reliability import CALIBRATION, CORRUPTED, GROUPS, OPEN_SET, ROBUSTNESS
from mlcd_eval.records import Result
from mlcd_eval.tables.report.charts import ENVIRONMENT, GRID, WIDTH, Figure, style, swatch
from mlcd_eval.tables.report.corruptions import mce_against
from mlcd_eval.tables.report.metric_table import MetricTable, metric_table
from mlcd_eval.tables.text import shown

TABLES = {
    "Calibration": CALIBRATION,
    "Open set": OPEN_SET,
    "Robustness": (*ROBUSTNESS, *GROUPS),
    "Accuracy under each corruption, mean over severities": [f"{CORRUPTED}{name}" for name in CORRUPTIONS],
}
LEFT, BOTTOM, TOP, RIGHT = 44, 286, 14, 312
HEIGHT = 324
LARGEST = 8.0  # radius in pixels of a bin with all samples

_DIAGRAM = ENVIRONMENT.from_string(
    GRID
    + """\
{% for x, label in xs %}
 <text x="{{ x }}" y="{{ height - 20 }}" text-anchor="middle">{{ label }}</text>
{% endfor %}
 <text x="{{ (left + width - 8) / 2 }}" y="{{ height - 4 }}" text-anchor="middle">confidence</text>
 <path d="{{ diagonal }}" class="grid"/>
{% for line in lines %}
 <path d="{{ line.d }}" class="line s{{ line.colour }}" stroke-dasharray="{{ line.dash }}"/>
{% for x, y, radius, words in line.bins %}
 <circle cx="{{ x }}" cy="{{ y }}" r="{{ radius }}" class="line s{{ line.colour }}"><title>{{ words }}</title></circle>
{% endfor %}
{% endfor %}
</svg>
"""
)


@dataclass(frozen=True)
class Reliability:
    """What the page says of records that measured it. tables: by caption. diagrams: a chart for each
    record with the bins of its predictions: accuracy over mean confidence, a circle per bin whose area shows its share
    of the samples, a line for the logits as they are and one for those of a fitted temperature."""

    tables: dict[str, MetricTable]
    diagrams: list[Figure]


def reliability_of(results: Sequence[Result], baseline: str | None = None) -> Reliability | None:
    """Return the section, None where no record has anything to say. baseline: the model that others are compared
    with."""
    tables = {caption: table for caption, names in TABLES.items() if (table := metric_table(results, names))}
    against = mce_against(results, baseline)
    tables |= {"Corruption errors in units of a model's": against} if against else {}
    with_bins = [result for result in results if result.status == "ok" and result.details.get("reliability")]
    return Reliability(tables, [_diagram(result) for result in with_bins]) if tables else None


def _diagram(result: Result) -> Figure:
    lines = []
    diagrams = result.details["reliability"]
    for place, (which, bins) in enumerate(diagrams.items()):
        total = sum(each["count"] for each in bins)
        circles = [
            (
                _x(each["confidence"]),
                _y(each["accuracy"]),
                round(max(1.5, LARGEST * (each["count"] / total) ** 0.5), 1),
                f"{which}: {each['count']:,} samples of confidence {shown(each['confidence'])}, "
                f"{shown(each['accuracy'])} right",
            )
            for each in bins
        ]
        lines.append({**style(place), "d": "M" + "L".join(f"{x},{y}" for x, y, *_ in circles), "bins": circles})
    values = {metric.name: metric.value for metric in result.metrics}
    caption = f"{result.model.name}, {result.task.name}: ECE {shown(values.get('ece'))}"
    temperature = result.details.get("temperature")
    if temperature is not None:
        caption += f", {shown(values.get('ece_scaled'))} at temperature {temperature:.3g}"
    quarters = (0.0, 0.25, 0.5, 0.75, 1.0)
    svg = _DIAGRAM.render(
        summary=f"{caption}: accuracy over confidence in {len(next(iter(diagrams.values())))} bins",
        ys=[(_y(share), shown(share, decimals=0)) for share in quarters],
        xs=[(_x(share), shown(share, decimals=0)) for share in quarters],
        diagonal=f"M{_x(0)},{_y(0)}L{_x(1)},{_y(1)}",
        lines=lines,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
    )
    legend = [(swatch(place), which) for place, which in enumerate(diagrams)] if len(diagrams) > 1 else []
    return Figure(caption, Markup(svg), legend)  # noqa: S704 made of escaped parts


def _x(share: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * share, 1)


def _y(share: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * share, 1)
