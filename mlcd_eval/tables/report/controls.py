"""The controls of the records: what each protocol gives for features of known contents, beside the models' values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.records import Result
from mlcd_eval.tables.text import count, measure, shown
from mlcd_eval.tables.variants import variants, with_label


def control_rows(results: Sequence[Result]) -> list[list[str]]:
    """Return a row for each control of each task, as texts; records of one task that have equal controls share them."""
    good = [result for result in results if result.status == "ok"]
    labels = variants(good)
    with_controls: dict[tuple[str, str], list[Result]] = {}
    for result in good:
        if result.details.get("controls"):
            task = with_label(result.task.name, labels.label(result))
            same = task, json.dumps(result.details["controls"], sort_keys=True)
            with_controls.setdefault(same, []).append(result)
    return [
        _row(control, task, of_task)
        for (task, _), of_task in with_controls.items()
        for control in of_task[0].details["controls"]
    ]


def _row(control: Mapping[str, Any], task: str, results: Sequence[Result]) -> list[str]:
    models = [f"{result.model.name} {text}" for result in results if (text := _value(result, control["metric"]))]
    return [
        task,
        control["name"],
        control["metric"],
        shown(control["value"]),
        count(control["num_scored"]),
        f"{'at least' if control['positive'] else 'at most'} {shown(control['bound'], decimals=1)}",
        "yes" if control["holds"] else "NO",
        ", ".join(models),
    ]


def _value(result: Result, name: str) -> str:
    """Return what a record's model has of a control's metric: of the reading probe the share of words that are read. Of
    a metric that the record lacks, its primary one, by its name; nothing where that is undefined."""
    if (words := result.details.get("reading", {}).get("word_accuracy")) is not None:
        return shown(words)
    same = next((metric for metric in result.metrics if metric.name == name), None)
    metric = same or result.primary
    if metric is None or metric.value is None:
        return ""
    text = shown(metric.value, metric.unit)
    return text if same else f"{text} ({measure(metric.name, metric.unit, metric.higher_is_better)})"
