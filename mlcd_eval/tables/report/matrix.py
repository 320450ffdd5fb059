"""The matrix that opens a report: models by tasks, each by its primary metric, and who leads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlcd_eval.metrics.interval import Interval
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.records import Result
from mlcd_eval.tables.comparison.contest import Contest, Entry, Leading, contests, led
from mlcd_eval.tables.comparison.overall import Overall, overall
from mlcd_eval.tables.text import count, shown

STEPS = 8
"""Shades of a column, from its worst value to its best."""
MOST = 6_000
"""Cells beyond which there is no matrix: a browser lays them all out."""
FEWEST = 2
"""Models below which there is nothing to compare."""


def matrix(results: Sequence[Result], files: Sequence[Path] = ()) -> dict[str, Any] | None:
    """The matrix for the template; None for fewer than FEWEST models, and for more than MOST cells.

    files: of the records; without them there are no marks of models that cannot be told from the best.
    """
    tasks = contests(results, files)
    models = list(dict.fromkeys(model for task in tasks for model in task.entries))
    if len(models) < FEWEST or len(models) * len(tasks) > MOST:
        return None
    leaders = led(tasks)
    standing = overall(tasks)
    columns = list(map(_column, tasks))
    rows = [
        {
            "name": model,
            "overall": _overall(model, standing),
            "cells": [
                _cell(task, model, leading, column["shades"])
                for task, leading, column in zip(tasks, leaders, columns, strict=True)
            ],
        }
        for model in _ordered(models, standing)
    ]
    return {
        "columns": columns,
        "rows": rows,
        "ranked": standing is not None,
        "scored": bool(standing and standing.scored),
        "notes": [*_notes(tasks, leaders), *_about(standing, tasks, models)],
    }


def _column(task: Contest) -> dict[str, Any]:
    """shades: model -> its shade, from 0 to STEPS, none for a column of one value."""
    values = {model: entry.value for model, entry in task.entries.items()}
    low, high = min(values.values()), max(values.values())
    if not task.metric.higher_is_better:
        values, low, high = {model: -value for model, value in values.items()}, -high, -low
    share = {model: (value - low) / (high - low) for model, value in values.items()} if high > low else {}
    return {
        "name": task.task.removeprefix(f"{task.protocol}/"),
        "variant": task.variant,
        "protocol": task.protocol,
        "metric": metric_kind(task.metric.name).heading,
        "first": "descending" if task.metric.higher_is_better else "ascending",
        "shades": {model: round(STEPS * each) for model, each in share.items()},
    }


def _cell(task: Contest, model: str, leading: Leading, shades: Mapping[str, int]) -> dict[str, Any] | None:
    """mark: `best`, `tied` or nothing; hint: what a pointer over the cell shows. Some 120 bytes of a page."""
    entry = task.entries.get(model)
    if entry is None:
        return None
    alone = len(task.entries) == 1
    mark = "" if alone else "best" if model == leading.best else "tied" if model in leading.tied else ""
    words = {"best": "best", "tied": "not distinguishable from the best"}.get(mark, "")
    hint = [_ends(entry), f"n = {count(entry.metric.num_scored)}", words]
    return {
        "value": entry.value,
        "text": _value(entry),
        "ends": _ends(entry),
        "mark": mark,
        "words": words,
        "hint": "; ".join(filter(None, hint)),
        "shade": shades.get(model),
    }


def _value(entry: Entry) -> str:
    return shown(entry.value, entry.metric.unit, 1)


def _ends(entry: Entry) -> str:
    ends = entry.metric.ci95
    return f"[{', '.join(shown(end, entry.metric.unit, 1) for end in ends)}]" if ends else ""


def _overall(model: str, standing: Overall | None) -> list[dict[str, Any]]:
    """Cells of rank and score, empty for a model without every task."""
    if standing is None:
        return []
    known = standing.models.get(model)
    rank = _mean(known.rank if known else None, known.rank_ci95 if known else None, 1, 1)
    score = _mean(known.score if known else None, known.score_ci95 if known else None, 100, 1)
    return [rank, score] if standing.scored else [rank]


def _mean(value: float | None, ends: Interval | None, scale: float, decimals: int) -> dict[str, Any]:
    if value is None or ends is None:
        return {"value": None, "text": "-", "ends": ""}
    text, *low_high = (f"{scale * number:.{decimals}f}" for number in (value, *ends))
    return {"value": value, "text": text, "ends": f"[{', '.join(low_high)}]"}


def _ordered(models: Sequence[str], standing: Overall | None) -> list[str]:
    """By rank, those without one behind."""
    ranks = {model: each.rank for model, each in standing.models.items()} if standing else {}
    return sorted(models, key=lambda model: (model not in ranks, ranks.get(model, 0.0)))


def _notes(tasks: Sequence[Contest], leaders: Sequence[Leading]) -> list[str]:
    """How many models are not tested against the best, and why most are not."""
    pairs = sum(len(task.entries) - 1 for task in tasks)
    reasons = [reason for leading in leaders for reason in leading.untested.values()]
    if not reasons:
        return []
    common = max(dict.fromkeys(reasons), key=reasons.count)
    return [f"Not tested against the best of their task: {len(reasons):,} of {pairs:,} numbers, most since {common}."]


def _about(standing: Overall | None, tasks: Sequence[Contest], models: Sequence[str]) -> list[str]:
    """What the ranks and scores are over."""
    if standing is None:
        return ["There is no rank over all tasks: fewer than two models share two tasks."]
    words = (
        f"rank: the mean over the {len(standing.tasks)} of {len(tasks)} tasks that {len(standing.models)} of "
        f"{len(models)} models all have"
    )
    if standing.scored:
        words += (
            f"; score: the mean over {len(standing.scored)} of these of how far a model is from chance (0) to perfect "
            "(100)"
        )
    drawn = f"{standing.together} of them with the samples of all models drawn together, so that ranks are of the same"
    return [f"{words}. Intervals of both are by bootstrap over tasks and their samples, {drawn} images."]
