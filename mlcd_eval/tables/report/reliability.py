"""How far predictions can be relied on: tables of metrics, and reliability diagrams."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlcd_eval.data.alterations.names import CORRUPTIONS
from mlcd_eval.metrics.reliability import CALIBRATION, CORRUPTED, GROUPS, OPEN_SET, ROBUSTNESS
from mlcd_eval.records import Result
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series
from mlcd_eval.tables.report.corruptions import mce_against
from mlcd_eval.tables.report.metric_table import MetricTable, metric_table
from mlcd_eval.tables.text import shown

TABLES = {
    "Calibration": CALIBRATION,
    "Open set": OPEN_SET,
    "Robustness": (*ROBUSTNESS, *GROUPS),
    "Accuracy under each corruption, mean over severities": [f"{CORRUPTED}{name}" for name in CORRUPTIONS],
}
RIGHT = Series("as often right as confident", [Point(0.0, 0.0), Point(1.0, 1.0)], line=True, dots=False, tone="muted")


@dataclass(frozen=True)
class Reliability:
    """What the page says of records that measured it. tables: by caption. diagrams: a chart for each
    record with the bins of its predictions: accuracy over mean confidence, a mark per bin whose area shows its share
    of the samples, a line for the logits as they are and one for those of a fitted temperature."""

    tables: dict[str, MetricTable]
    diagrams: list[Chart]


def reliability_of(results: Sequence[Result], baseline: str | None = None) -> Reliability | None:
    """Return the section, None where no record has anything to say. baseline: the model that others are compared
    with."""
    tables = {caption: table for caption, names in TABLES.items() if (table := metric_table(results, names))}
    against = mce_against(results, baseline)
    tables |= {"Corruption errors in units of a model's": against} if against else {}
    with_bins = [result for result in results if result.status == "ok" and result.details.get("reliability")]
    return Reliability(tables, [_diagram(result) for result in with_bins]) if tables else None


def _diagram(result: Result) -> Chart:
    series = [
        Series(which, [_bin(each, sum(other["count"] for other in bins)) for each in bins], line=True)
        for which, bins in result.details["reliability"].items()
    ]
    values = {metric.name: metric.value for metric in result.metrics}
    title = f"{result.model.name}, {result.task.name}: ECE {shown(values.get('ece'))}"
    temperature = result.details.get("temperature")
    if temperature is not None:
        title += f", {shown(values.get('ece_scaled'))} at temperature {temperature:.3g}"
    confidence, accuracy = (Axis(name, unit="fraction", span=(0.0, 1.0)) for name in ("confidence", "accuracy"))
    return Chart(title, confidence, accuracy, [*series, RIGHT])


def _bin(each: Mapping[str, Any], total: int) -> Point:
    note = f"{each['count']:,} samples"
    return Point(each["confidence"], each["accuracy"], note=note, share=each["count"] / total)
