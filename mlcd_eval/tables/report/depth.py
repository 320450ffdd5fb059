"""Best layers: how well probes of each block and of the output do on the rows that choose among them, one chart per
record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.encoders.base import PENULTIMATE
from mlcd_eval.encoders.layers import parsed
from mlcd_eval.records import Result
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series
from mlcd_eval.tables.text import shown_metric


def best_layers(results: Sequence[Result]) -> list[Chart]:
    """Return a chart for each record that chose its layer: the scores of every block, a line per pooling, and of the
    output, with their 95% intervals, and the chosen one again as a series of its own."""
    return [_chart(result) for result in results if result.status == "ok" and result.details.get("layers")]


def _chart(result: Result) -> Chart:
    curve: Sequence[Mapping[str, Any]] = [line for line in result.details["layers"] if line["score"] is not None]
    blocks = [(name.number, "+".join(name.poolings), line) for line in curve if (name := parsed(line["layer"]))]
    beyond = max(number for number, _, _ in blocks) + 1
    named = [*blocks, *((beyond, PENULTIMATE, line) for line in curve if line["layer"] == PENULTIMATE)]
    chosen, metric = result.details["layer"], result.primary
    ways = dict.fromkeys(way for _, way, _ in named)
    series = [Series(way, [_point(*each) for each in named if each[1] == way], line=True) for way in ways]
    best = [_point(number, way, line) for number, way, line in named if line["layer"] == chosen]
    series += [Series("chosen", best)] if best else []
    reported = f", {metric.name} {shown_metric(metric)} on test" if metric is not None else ""
    title = f"{result.model.name}, {result.task.name}: {chosen} is best{reported}"
    return Chart(title, Axis("block, then the output", unit="count"), Axis("score", unit="fraction"), series)


def _point(number: int, way: str, line: Mapping[str, Any]) -> Point:
    return Point(number, line["score"], line["ci95"] and tuple(line["ci95"]), line["layer"])
