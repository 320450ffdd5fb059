"""Charts: series of points on two axes. The page's script draws them by Observable Plot; their numbers stand below them
as a table, for readers without a script and for all who want to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.interval import Interval
from mlcd_eval.tables.text import shown, shown_difference

Tone = Literal["better", "worse", "muted"]
MOST_ROWS = 200
"""Points of a series that the table below a chart has; of more it has so many, evenly spaced."""


@dataclass(frozen=True)
class Axis:
    """What a side of a chart measures.

    scale: `names` for texts, each at a place of its own, in the order in which they come. unit: a fraction is shown in
    per cent, a difference of fractions in points, with a line at 0; counts are whole. span: the ends, those of the
    numbers where it is None. ticks: where numbers stand, else at round ones; of names, all of them in their order.
    """

    label: str
    scale: Literal["linear", "log", "names"] = "linear"
    unit: Literal["number", "count", "fraction", "difference"] = "number"
    span: tuple[float, float] | None = None
    ticks: Sequence[float | str] | None = None

    @property
    def heading(self) -> str:
        """The label with the unit and the scale: `accuracy, per cent`."""
        unit = {"fraction": ", per cent", "difference": ", points"}.get(self.unit, "")
        return f"{self.label}{unit}{', log scale' if self.scale == 'log' else ''}"

    def text(self, value: float | str, decimals: int = 2) -> str:
        """A value as the table shows it. decimals: of a fraction in per cent."""
        if isinstance(value, str):
            return value
        if self.unit == "difference":
            return shown_difference(value)
        return shown(value, decimals=decimals) if self.unit == "fraction" else f"{value:,.6g}"


@dataclass(frozen=True)
class Point:
    """A place in a chart. An axis of names has a text; None on the axis of values is a gap in a line.

    ci95: of the value. note: what else is to be said of it. share: of a whole, between 0
    and 1, which the area of its mark then shows. opens: the place of its provenance in the page.
    """

    x: float | str | None
    y: float | str | None
    ci95: Interval | None = None
    note: str | None = None
    share: float | None = None
    opens: int | None = None


@dataclass(frozen=True)
class Series:
    """Points of one kind. line: joined in their order; dots: each has a mark. Intervals are rules through marks, or a
    band where there are none. labelled: notes stand beside marks, where these are few. tone: a colour that means
    something, else the next one of the page."""

    name: str
    points: Sequence[Point]
    line: bool = False
    dots: bool = True
    labelled: bool = False
    tone: Tone | None = None

    def spec(self) -> dict[str, Any]:
        """The series as JSON, its points as columns."""
        columns: dict[str, list[Any]] = {
            "x": [point.x for point in self.points],
            "y": [point.y for point in self.points],
            "low": [point.ci95 and point.ci95[0] for point in self.points],
            "high": [point.ci95 and point.ci95[1] for point in self.points],
            "note": [point.note for point in self.points],
            "share": [point.share for point in self.points],
        }
        style = {"line": self.line, "dots": self.dots, "labelled": self.labelled, "tone": self.tone}
        known = {name: _short(column) for name, column in columns.items() if name in "xy" or set(column) != {None}}
        return _known({"name": self.name, **style, **known})


def value_axis(metric: Metric) -> Axis:
    """The axis of a metric's values."""
    if metric.unit == "fraction":
        return Axis(metric.name, unit="fraction")
    return Axis(f"{metric.name}, {metric.unit}", unit="number")


class Numbers(NamedTuple):
    """The table below a chart. rows: texts of a point and the place of its provenance; note: on what is left out."""

    header: list[str]
    rows: list[tuple[list[str], int | None]]
    note: str


@dataclass(frozen=True)
class Chart:
    """Values run along x where y has names, as in a forest plot, and else along y."""

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]

    @property
    def across(self) -> bool:
        """Whether values run along x."""
        return self.y.scale == "names"

    @property
    def summary(self) -> str:
        """The chart in words, for screen readers."""
        axis = self.x if self.across else self.y
        parts = []
        for each in self.series:
            values = [value for point in each.points if isinstance(value := self._value(point), (int, float))]
            if len(values) < 2:
                parts.append(f"{each.name}: {axis.text(values[0]) if values else 'no value'}")
            else:
                ends = f"from {axis.text(min(values))} to {axis.text(max(values))}"
                parts.append(f"{each.name}: {len(values)} points {ends}")
        return "; ".join(parts)

    def spec(self) -> dict[str, Any]:
        """The chart as JSON for charts.js; what is not said is left out."""
        axes = {
            side: {**_known(asdict(axis)), "heading": axis.heading} for side, axis in (("x", self.x), ("y", self.y))
        }
        return {**axes, "summary": self.summary, "series": [each.spec() for each in self.series]}

    def numbers(self) -> Numbers:
        """The table of its points."""
        place, value = (self.y, self.x) if self.across else (self.x, self.y)
        known = [
            [(each.name, point) for point in each.points if self._value(point) is not None] for each in self.series
        ]
        points = [pair for of_series in known for pair in _thinned(of_series)]
        several = len(self.series) > 1
        spread = any(point.ci95 for _, point in points)
        noted = any(point.note for _, point in points)
        header = [*(["series"] if several else []), place.heading, value.heading]
        header += [*(["95% interval"] if spread else []), *(["note"] if noted else [])]
        rows = []
        for name, point in points:
            at, number = (point.y, point.x) if self.across else (point.x, point.y)
            assert at is not None and number is not None, "a point that is no gap has both"
            cells = [*([name] if several else []), place.text(at), value.text(number)]
            if spread:
                cells.append(f"[{', '.join(value.text(end, 1) for end in point.ci95)}]" if point.ci95 else "")
            rows.append(([*cells, *([point.note or ""] if noted else [])], point.opens))
        total = sum(map(len, known))
        note = f"{len(rows):,} of {total:,} points, evenly spaced." if len(rows) < total else ""
        return Numbers(header, rows, note)

    def _value(self, point: Point) -> float | str | None:
        return point.x if self.across else point.y


def _short(values: Sequence[Any]) -> list[Any]:
    """Numbers of six digits, more than a screen can show."""
    return [float(f"{value:.6g}") if isinstance(value, float) else value for value in values]


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _thinned(points: Sequence[tuple[str, Point]]) -> Sequence[tuple[str, Point]]:
    """All points, or MOST_ROWS of them with the first and the last."""
    if len(points) <= MOST_ROWS:
        return points
    return [points[round(row * (len(points) - 1) / (MOST_ROWS - 1))] for row in range(MOST_ROWS)]
