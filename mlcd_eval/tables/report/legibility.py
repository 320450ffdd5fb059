"""Curves of legibility: the share of words that the reading probe reads, by the height of their letters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.records import Result
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series


def legibility(results: Sequence[Result]) -> list[Chart]:
    """Return a chart for each task with the reading probe: a curve of each model, and one of each control."""
    by_task: dict[str, list[Result]] = {}
    for result in results:
        if result.status == "ok" and result.details.get("reading"):
            by_task.setdefault(result.task.name, []).append(result)
    return [_chart(task, of_task) for task, of_task in by_task.items()]


def _chart(task: str, results: Sequence[Result]) -> Chart:
    curves = [(result.model.name, result.details["reading"]["curve"]) for result in results]
    controls = {
        control["name"]: control["curve"]
        for result in results
        for control in result.details.get("controls", ())
        if "curve" in control
    }
    curves += controls.items()
    legible = [f"{result.model.name} {_smallest(result)}" for result in results]
    series = [Series(name, [_point(entry) for entry in curve], line=True) for name, curve in curves]
    ends = sorted({(entry["from"], entry["to"] or math.inf) for _, curve in curves for entry in curve})
    return Chart(
        f"{task}: smallest legible letter of {', '.join(legible)}",
        Axis("height of letters in pixels", scale="names", ticks=[_heights(*each) for each in ends]),
        Axis("words read", unit="fraction", span=(0.0, 1.0)),
        series,
    )


def _smallest(result: Result) -> str:
    pixels = result.details["reading"]["smallest_legible_letter"]
    return "none" if pixels is None else f"{pixels:g} pixels"


def _point(entry: Mapping[str, Any]) -> Point:
    heights = _heights(entry["from"], entry["to"] or math.inf)
    return Point(heights, entry["word_accuracy"], note=f"{entry['words']} words")


def _heights(low: float, high: float) -> str:
    """`8-10`; `64-` for no upper end."""
    return f"{low:g}-{'' if high == math.inf else f'{high:g}'}"
