"""The controls of the records: what each protocol gives for features of known contents, beside the models' values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.records import Result
from mlcd_eval.tables.text import count, shown


def control_rows(results: Sequence[Result]) -> list[list[str]]:
    """Return a row for each control of each task, as texts; records of one task that have equal controls share them."""
    with_controls: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.status == "ok" and result.details.get("controls"):
            same = result.task.name, json.dumps(result.details["controls"], sort_keys=True)
            with_controls.setdefault(same, []).append(result)
    return [
        _row(control, task, of_task)
        for (task, _), of_task in with_controls.items()
        for control in of_task[0].details["controls"]
    ]


def _row(control: Mapping[str, Any], task: str, results: Sequence[Result]) -> list[str]:
    models = [f"{result.model.name} {shown(value)}" for result in results if (value := _value(result)) is not None]
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


def _value(result: Result) -> float | None:
    """Return what a record's model has beside its controls: of the reading probe the share of words that are read."""
    reading: Mapping[str, Any] = result.details.get("reading", {})
    primary = result.primary
    return reading.get("word_accuracy", primary.value if primary is not None else None)
