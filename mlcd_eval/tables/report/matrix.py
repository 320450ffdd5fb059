"""The matrix of models by tasks with which a page opens, in one view or, with seeds, in two: primary metrics, shaded by
column, the best of each task and what cannot be told from it, and ranks over all tasks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcd_eval.encoders.kinds import CHECKPOINT, KINDS
from mlcd_eval.metrics.table import metric_kind
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.leaderboard import PUBLISHED, Leaderboard
from mlcd_eval.tables.comparison import seeds
from mlcd_eval.tables.comparison.chance import above_chance
from mlcd_eval.tables.comparison.contest import Contest, Leading, contests, led
from mlcd_eval.tables.comparison.overall import Overall, overall
from mlcd_eval.tables.report import cells
from mlcd_eval.tables.text import measure, shown

MOST = 6_000
"""Cells beyond which there is no matrix: a browser lays them all out."""
FEWEST = 2
"""Models below which there is nothing to compare."""
MANY = 30
"""Tasks beyond which the groups of columns are folded at first."""
IMPORTED, UNKNOWN = "other harness", "unknown"


@dataclass(frozen=True)
class _Group:
    """The tasks of a protocol, which stand side by side."""

    name: str
    tasks: list[Contest]


def matrix(
    results: Sequence[Result],
    files: Sequence[Path] = (),
    apart: re.Pattern[str] | None = None,
    boards: Sequence[Leaderboard] = (),
) -> dict[str, Any] | None:
    """The matrix for the template; None for fewer than FEWEST models, and for more than MOST cells.

    files: of the records; without them there are no marks of models that cannot be told from the best. apart: what
    tells the seeds of a model apart (see `seeds.pattern`). boards: of the same results, for their published rows.
    standing: of each model over all tasks.
    """
    tasks = _by_protocol(contests(results, files))
    models = _models(tasks)
    if len(models) < FEWEST or not fits(tasks):
        return None
    standing = overall(tasks)
    each = _view("each", "each model", tasks, led(tasks), standing)
    views = [each]
    if runs := seeds.together(tasks, apart or seeds.pattern(None)):
        leaders = [seeds.leading(task) for task in runs]
        together = "seeds together: mean ± sample standard deviation"
        views.insert(0, _view("seeds", together, runs, leaders, overall(runs)))
    return {
        "views": views,
        "standing": standing,
        "groups": [{"name": group.name, "count": len(group.tasks)} for group in _groups(tasks)],
        "kinds": sorted({row["kind"] for row in each["rows"]}),
        "folds": len(tasks) > MANY,
        "published": _published(tasks, boards),
    }


def _published(tasks: Sequence[Contest], boards: Sequence[Leaderboard]) -> dict[str, Any] | None:
    """The published rows that a page adds when it is asked to. scales: by column, what a shown number is a value times;
    rows: a name, and a text by column, empty where nothing is published. None without such rows."""
    columns = [(task.task, task.metric.name, task.variant) for task in tasks]
    rows: dict[str, dict[tuple[str, str, str], str]] = {}
    for board in boards:
        for row in board.rows:
            if row.published:
                printed = {
                    column.key: shown(cell.value, column.unit, cell.decimals) for column, cell in row.cells.items()
                }
                rows.setdefault(row.model.removesuffix(PUBLISHED), {}).update(printed)
    known = {name: [printed.get(column, "") for column in columns] for name, printed in rows.items()}
    filled = [[name, texts] for name, texts in known.items() if any(texts)]
    scales = [100 if task.metric.unit == "fraction" else 1 for task in tasks]
    return {"scales": scales, "rows": filled} if filled else None


def fits(tasks: Sequence[Contest]) -> bool:
    """Whether a page has room for more of these tasks than compact tables."""
    return len(_models(tasks)) * len(tasks) <= MOST


def _models(tasks: Sequence[Contest]) -> list[str]:
    return list(dict.fromkeys(model for task in tasks for model in task.entries))


def _by_protocol(tasks: Sequence[Contest]) -> list[Contest]:
    protocols = list(dict.fromkeys(task.protocol for task in tasks))
    return sorted(tasks, key=lambda task: protocols.index(task.protocol))


def _groups(tasks: Sequence[Contest]) -> list[_Group]:
    groups: dict[str, list[Contest]] = {}
    for task in tasks:
        groups.setdefault(task.protocol, []).append(task)
    return [_Group(name, of_group) for name, of_group in groups.items()]


def _view(
    key: str, label: str, tasks: Sequence[Contest], leaders: Sequence[Leading], standing: Overall | None
) -> dict[str, Any]:
    """One table of the matrix; key, label: of the switch between views. Its rows are ordered by rank."""
    columns = list(map(_column, tasks))
    groups = _groups(tasks)
    place = {id(task): at for at, task in enumerate(tasks)}

    def of_group(model: str, group: _Group) -> dict[str, Any]:
        every = [
            cells.of_task(task, model, leaders[place[id(task)]], columns[place[id(task)]]["shades"])
            for task in group.tasks
        ]
        return {"cells": every, "mean": cells.mean_score(above_chance(group.tasks, model))}

    models = _models(tasks)
    rows = [
        {
            "name": model,
            **_about(model, tasks),
            "overall": cells.of_overall(model, standing),
            "groups": [of_group(model, group) for group in groups],
        }
        for model in _ordered(models, standing)
    ]
    return {
        "key": key,
        "label": label,
        "groups": [
            {"name": group.name, "columns": [columns[place[id(task)]] for task in group.tasks]} for group in groups
        ],
        "rows": rows,
        "ranked": standing is not None,
        "scored": bool(standing and standing.scored),
        "notes": [*_notes(tasks, leaders), *_about_ranks(standing, tasks, models)],
    }


def _column(task: Contest) -> dict[str, Any]:
    """shades: model -> its shade, from 0 to STEPS, none for a column of one value."""
    return {
        "task": task.task,
        "name": task.task.removeprefix(f"{task.protocol}/"),
        "variant": task.variant,
        "protocol": task.protocol,
        "metric": measure(metric_kind(task.metric.name).heading, task.metric.unit, task.metric.higher_is_better),
        "first": "descending" if task.metric.higher_is_better else "ascending",
        "shades": cells.shades(task),
    }


def _about(model: str, tasks: Sequence[Contest]) -> dict[str, Any]:
    """What rows are filtered by: runs, the most seeds of a task behind a row; params and kind, None and UNKNOWN where
    its records differ."""
    entries = [task.entries[model] for task in tasks if model in task.entries]
    members = [list(each.members.values()) if isinstance(each, seeds.Runs) else [each] for each in entries]
    records = [entry.result for of_task in members for entry in of_task]
    params, kinds = {record.model.num_params for record in records}, set(map(_kind, records))
    return {
        "runs": max(map(len, members)),
        "params": params.pop() if len(params) == 1 else None,
        "kind": kinds.pop() if len(kinds) == 1 else UNKNOWN,
    }


def _kind(record: Result) -> str:
    """The kind of encoder, by the spec."""
    kind, colon, _ = record.model.spec.partition(":")
    if "harness" in record.details:
        return IMPORTED
    return CHECKPOINT if not colon else kind if kind in KINDS else UNKNOWN


def _ordered(models: Sequence[str], standing: Overall | None) -> list[str]:
    """By rank, those without one behind; equal ones by name."""
    ranks = {model: each.rank for model, each in standing.models.items()} if standing else {}
    return sorted(models, key=lambda model: (model not in ranks, ranks.get(model, 0.0), model))


def _notes(tasks: Sequence[Contest], leaders: Sequence[Leading]) -> list[str]:
    """How many models are not tested against the best, and why most are not."""
    pairs = sum(len(task.entries) - 1 for task in tasks)
    reasons = [reason for leading in leaders for reason in leading.untested.values()]
    if not reasons:
        return []
    common = max(dict.fromkeys(reasons), key=reasons.count)
    return [f"Not tested against the best of their task: {len(reasons):,} of {pairs:,} numbers, most since {common}."]


def _about_ranks(standing: Overall | None, tasks: Sequence[Contest], models: Sequence[str]) -> list[str]:
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
    if any(isinstance(entry, seeds.Runs) for task in tasks for entry in task.entries.values()):
        return [
            f"{words}. Intervals of both are by bootstrap over tasks, with the uncertainty of each mean over seeds."
        ]
    drawn = f"{standing.together} of them with the samples of all models drawn together, so that ranks are of the same"
    return [f"{words}. Intervals of both are by bootstrap over tasks and their samples, {drawn} images."]
