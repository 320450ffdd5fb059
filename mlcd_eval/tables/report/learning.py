"""The curves of a training, from its log."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series
from mlcd_eval.tables.report.trainings import Training

CURVES = {"loss": ("loss",), "mean cosine": ("positive_cosine", "negative_cosine")}
"""The charts of a training, with the names in its log that each of them draws."""
TERMS = ("positive", "negative")
"""In the log of an objective with class centres: log sum exp(-s) of own classes, A, and log sum exp(s) of others, B."""
LOW, HIGH = "_low", "_high"
"""Added to the name of a metric: the ends of its interval."""


def learning_curves(training: Training) -> list[Chart]:
    """One chart for each of CURVES that the log has a value for, and one for each metric of a task, with its interval
    where that was logged."""
    charts = []
    for name, parts in CURVES.items():
        known = [part for part in parts if _any(training, part)]
        if known:
            series = [_line(training, part.removesuffix("_cosine"), part) for part in known]
            charts.append(_chart(training, name, series))
    if all(_any(training, term) for term in TERMS):
        charts.append(_phases(training))
    for name in training.values:
        if "/" in name and not name.endswith((LOW, HIGH)) and _any(training, name):
            charts.append(_chart(training, name, [_line(training, name, name)]))
    return charts


def _any(training: Training, name: str) -> bool:
    return any(value is not None for value in training.values.get(name, ()))


def _line(training: Training, title: str, name: str) -> Series:
    none = [None] * len(training.steps)
    columns = [training.values.get(each, none) for each in (name, name + LOW, name + HIGH)]
    points = [
        Point(step, value, None if low is None or high is None else (low, high))
        for step, value, low, high in zip(training.steps, *columns, strict=True)
    ]
    if "/" in name:  # of a task, which few steps evaluate
        points = [point for point in points if point.y is not None]
    return Series(title, points, line=True, dots=False)


def _phases(training: Training) -> Chart:
    """A against B from the first step to the last: where both are far above 0, MLCD is MLC, the sum of both; a term
    below 0 hardly learns any more."""
    ways = zip(training.steps, *(training.values[term] for term in TERMS), strict=True)
    points = [Point(a, b, note=f"step {step:,}") for step, a, b in ways if a is not None and b is not None]
    title = f"{training.name}: terms of the loss"
    axes = Axis("A, own classes"), Axis("B, other classes")
    return Chart(title, *axes, [Series("from the first step to the last", points, line=True, dots=False)])


def _chart(training: Training, name: str, series: Sequence[Series]) -> Chart:
    return Chart(f"{training.name}: {name}", Axis("step", unit="count"), Axis(name), series)
