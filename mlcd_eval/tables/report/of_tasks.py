"""A part of the page for each task: its models in order, which classes are hard and confused, and what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.confusion import class_accuracies, confusions
from mlcd_eval.metrics.reliability import CALIBRATION, CORRUPTED, GROUPS, OPEN_SET, ROBUSTNESS
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.leaderboard import Column, Leaderboard
from mlcd_eval.tables.comparison.contest import Contest, Entry
from mlcd_eval.tables.report.charts import Axis, Chart, Point, Series, value_axis
from mlcd_eval.tables.report.provenance import Provenance
from mlcd_eval.tables.text import count, shown

MOST_MODELS = 30
"""Of a task's chart, the best first."""
COMPARED = 3
"""Models beside each other by class."""
HARDEST, CONFUSED = 10, 10
"""Classes and confusions that are listed."""

Predicted = tuple[NDArray[Any], NDArray[Any]]
"""Labels and predicted classes (N,) of the same samples."""


def task_parts(
    contests: Sequence[Contest], boards: Sequence[Leaderboard], provenance: Provenance
) -> list[dict[str, Any]]:
    """The parts for the template, in the order of the contests."""
    opens = {} if provenance.folded else _opens(boards, provenance)
    return [_part(contest, opens) for contest in contests]


def _opens(boards: Sequence[Leaderboard], provenance: Provenance) -> dict[int, int]:
    """Id of a record -> the place of the provenance of its primary metric."""
    return {
        id(cell.source): provenance.cell(row, column)
        for board in boards
        for row in board.rows
        for column, cell in row.cells.items()
        if isinstance(cell.source, Result) and _is_primary(cell.source, column)
    }


def _is_primary(record: Result, column: Column) -> bool:
    return record.primary_metric == column.metric


def _part(contest: Contest, opens: Mapping[int, int]) -> dict[str, Any]:
    models = contest.order
    return {
        "name": contest.name,
        "chart": _forest(contest, models[:MOST_MODELS], opens),
        "left_out": len(models) - len(models[:MOST_MODELS]),
        **_classes(contest, models),
        "reliable": any(map(_measures_reliability, (entry.result for entry in contest.entries.values()))),
        "about": _about([entry.result for entry in contest.entries.values()]),
    }


def _forest(contest: Contest, models: Sequence[str], opens: Mapping[int, int]) -> Chart:
    points = []
    for model in models:
        entry = contest.entries[model]
        note = f"n = {count(entry.metric.num_scored)}"
        points.append(Point(entry.value, model, entry.metric.ci95, note, opens=opens.get(id(entry.result))))
    names = Axis("model", scale="names", ticks=list(models))
    return Chart(
        f"{contest.name}: {contest.metric.name}", value_axis(contest.metric), names, [Series("models", points)]
    )


def _classes(contest: Contest, models: Sequence[str]) -> dict[str, Any]:
    """hard: the classes that the best model gets right least, with the accuracies of others beside it; confused: what
    it takes for what; why: why there is none of these."""
    try:
        labels, predictions = _predicted(contest.entries[models[0]])
    except DataError as error:
        return {"best": models[0], "why": str(error), "hard": [], "confused": []}
    others: dict[str, NDArray[Any]] = {}
    for model in models[1:]:
        if len(others) == COMPARED - 1:
            break
        try:
            of_other, predicted = _predicted(contest.entries[model])
        except DataError:
            continue
        if np.array_equal(of_other, labels):
            others[model] = predicted
    sides = [class_accuracies(labels, predicted) for predicted in (predictions, *others.values())]
    rows = sorted(zip(*sides, strict=True), key=lambda row: row[0].value)[:HARDEST]
    return {
        "why": "",
        "beside": [models[0], *others],
        "hard": [(row[0].label, row[0].num_samples, [shown(each.value, decimals=1) for each in row]) for row in rows],
        "confused": [
            (each.label, each.prediction, each.number, shown(each.number / each.num_samples, decimals=1))
            for each in confusions(labels, predictions, CONFUSED)
        ],
        "num_classes": len(sides[0]),
    }


def _predicted(entry: Entry) -> Predicted:
    """Raises DataError where no outcomes of samples are kept, or these hold no class for each."""
    columns = entry.outcomes().columns
    if "label" not in columns or "prediction" not in columns:
        raise DataError("its outcomes hold no predicted classes")
    try:
        labels, predictions = (np.asarray(columns[name]) for name in ("label", "prediction"))
    except ValueError:  # lists of different lengths
        labels = predictions = np.empty(0)
    if not labels.ndim == predictions.ndim == 1 or not all(
        np.issubdtype(each.dtype, np.integer) for each in (labels, predictions)
    ):
        raise DataError("its samples have several labels or predictions, and no single class")
    return labels, predictions


def _measures_reliability(record: Result) -> bool:
    names = {*CALIBRATION, *OPEN_SET, *ROBUSTNESS, *GROUPS}
    return any(metric.name in names or metric.name.startswith(CORRUPTED) for metric in record.metrics)


def _about(records: Sequence[Result]) -> list[tuple[str, str]]:
    """What the records of a task share; of what differs between them, how many values there are."""
    facts: dict[str, list[str]] = {
        "data": [f"{each.dataset.name}, split {each.dataset.split}" for each in records],
        "samples": [count(each.dataset.num_samples) for each in records],
        "classes": [count(each.dataset.num_classes) for each in records],
        "data fingerprint": [each.dataset.identity for each in records],
        "protocol": [f"{each.task.protocol}, version {each.task.protocol_version or 'unknown'}" for each in records],
        "settings": [json.dumps(each.task.settings, ensure_ascii=False, sort_keys=True) for each in records],
        "seed": [str(each.seed) for each in records],
        "mlcd_eval": [str(each.environment.get("mlcd_eval", "unknown")) for each in records],
    }
    return [(name, _shared(values)) for name, values in facts.items() if set(values) != {"-"}]


def _shared(values: Sequence[str]) -> str:
    different = list(dict.fromkeys(values))
    return different[0] if len(different) == 1 else f"{different[0]}, and {len(different) - 1} others"
