"""The HTML report: one file with leaderboards, the provenance of every number, charts and examples."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.published import published_numbers
from mlcd_eval.records import Result
from mlcd_eval.tables.charts import Bar, Figure, curves, delta_bars, radar
from mlcd_eval.tables.evidence import Examples, Training
from mlcd_eval.tables.leaderboard import Cell, Column, Leaderboard, Row, baseline_row, leaderboards, published_of
from mlcd_eval.tables.page import template
from mlcd_eval.tables.provenance import Provenance
from mlcd_eval.tables.text import shown

CURVES = {"loss": ("loss",), "mean cosine": ("positive_cosine", "negative_cosine")}
"""The charts of a training, and the names in its log that each draws."""
SUFFIX = {True: ", published", False: ""}
"""What a leaderboard adds to a row's name, for which the page has a badge."""


def report(
    results: Sequence[Result],
    baseline: str | None = None,
    published: Sequence[str] = (),
    examples: Sequence[Examples] = (),
    trainings: Sequence[Training] = (),
) -> str:
    """The page; raises ConfigError for a baseline or published model that is none."""
    numbers = published_numbers() if published else []
    chosen = list(dict.fromkeys(number for name in published for number in published_of(name, numbers)))
    boards = leaderboards(results, chosen)
    rows = [row for board in boards for row in board.rows]
    if baseline is not None and not any(baseline_row(board, baseline) for board in boards):
        models = sorted({row.model for row in rows})
        raise ConfigError(
            f"--baseline: got {baseline!r}, expected one of {', '.join(models)}{nearest(baseline, models)}"
        )
    provenance = Provenance(results, chosen)
    return template("report.html.jinja").render(
        models=len({result.model.name for result in results}),
        tasks=len({result.task.name for result in results}),
        boards=[_board(board, provenance) for board in boards],
        missed=published if not any(row.published for row in rows) else (),
        baseline=baseline,
        deltas=[(board.protocol, figures) for board in boards if baseline and (figures := _deltas(board, baseline))],
        radar=_radar(results),
        trainings=[(training.name, _curves(training)) for training in trainings],
        examples=examples,
        provenance={"entries": provenance.entries, "groups": provenance.groups},
    )


def _board(board: Leaderboard, provenance: Provenance) -> dict[str, Any]:
    """A table for the template; models go down, ordered by the first column of numbers, best first."""
    columns = [_header(board, column) for column in board.columns]
    lines = [[_cell(board, row, column, provenance) for column in board.columns] for row in board.rows]
    shared = board.shared_columns()
    if 1 < len({column.task for column in board.columns}) == len(board.columns) and shared:
        over = "" if len(shared) == len(board.columns) else f"of {len(shared)} that all have"
        columns.insert(0, {"name": "average", "metric": over, "count": "", "first": "descending"})
        means = [sum(row.cells[column].value or 0.0 for column in shared) / len(shared) for row in board.rows]
        for row, line, mean in zip(board.rows, lines, means, strict=True):
            parts = {f"{column.task} {column.metric}": shown(row.cells[column].value) for column in shared}
            opens = provenance.add(f"{row.model}: average", {"value": mean}, {"mean of, in per cent": parts})
            rank = _rank(mean, sorted(set(means), reverse=True))
            line.insert(0, {"value": mean, "text": shown(mean), "interval": "", "rank": rank, "opens": opens})
    sign = -1 if columns[0]["first"] == "descending" else 1
    pairs = list(zip(board.rows, lines, strict=True))
    pairs.sort(key=lambda pair: (pair[1][0]["value"] is None, sign * (pair[1][0]["value"] or 0.0)))
    rows = [{"row": row, "name": row.model.removesuffix(SUFFIX[row.published]), "cells": line} for row, line in pairs]
    other = ", ".join(f"{task} {size:,} ({meant:,})" for task, size, meant in board.other_data)
    return {"protocol": board.protocol, "columns": columns, "rows": rows, "other_data": other}


def _header(board: Leaderboard, column: Column) -> dict[str, str]:
    counts = {row.cells[column].num_scored or 0 for row in board.rows if column in row.cells} - {0}
    return {
        "name": column.task.removeprefix(f"{board.protocol}/"),
        "metric": column.metric if column.higher_is_better else f"{column.metric}, lower is better",
        "count": " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)})) if counts else "",
        "first": "descending" if column.higher_is_better else "ascending",
    }


def _cell(board: Leaderboard, row: Row, column: Column, provenance: Provenance) -> dict[str, Any]:
    """A cell for the template; opens: the place of its provenance, None where there is nothing to tell."""
    cell = row.cells.get(column)
    if cell is None:
        return {"value": None, "text": "-", "interval": "", "rank": "", "opens": None}
    ends = [shown(end, decimals=1) for end in cell.ci95 or ()]
    return {
        "value": cell.value,
        "text": "failed" if cell.failed is not None else shown(cell.value, decimals=cell.decimals),
        "interval": f"[{', '.join(ends)}]" if ends else "",
        "rank": _rank(cell.value, board.ranked(column)) if len(board.rows) > 1 else "",
        "opens": provenance.cell(row, column),
    }


def _rank(value: float | None, ranking: Sequence[float]) -> str:
    """Of a value among the distinct ones, best first."""
    return next((name for name, other in zip(("best", "second"), ranking, strict=False) if value == other), "")


def _deltas(board: Leaderboard, baseline: str) -> list[Figure]:
    """A chart of each model's differences from the baseline, all on one scale; none where the board lacks it."""
    reference = baseline_row(board, baseline)
    if reference is None:
        return []
    bars = {row.model: list(_bars(board, row, reference)) for row in board.rows if row is not reference}
    ends = [bar.delta for group in bars.values() for bar in group]
    span = min([0.0, *ends]), max([0.0, *ends])
    return [delta_bars(f"{model} minus {reference.model}", group, span) for model, group in bars.items() if group]


def _bars(board: Leaderboard, row: Row, reference: Row) -> Iterable[Bar]:
    several = len({column.task for column in board.columns}) < len(board.columns)
    for column in board.columns:
        value, other = (each.cells.get(column, Cell()).value for each in (row, reference))
        if value is not None and other is not None:
            name = column.task.removeprefix(f"{board.protocol}/") + (f" {column.metric}" if several else "")
            yield Bar(name, value - other, (value > other) == column.higher_is_better)


def _radar(results: Sequence[Result]) -> Figure | None:
    """Over the primary metrics of tasks that all models have; None for fewer than three."""
    values: dict[str, dict[str, float]] = {}
    for result in results:
        primary = result.primary
        if primary is not None and primary.value is not None and primary.higher_is_better:
            values.setdefault(result.task.name, {})[result.model.name] = primary.value
    models = dict.fromkeys(result.model.name for result in results)
    axes = {task: by_model for task, by_model in values.items() if len(by_model) == len(models)}
    if len(axes) < 3:
        return None
    rows = [(model, [by_model[model] for by_model in axes.values()]) for model in models]
    return radar(f"Primary metrics of the {len(axes)} tasks that all models have", list(axes), rows)


def _curves(training: Training) -> list[Figure]:
    """A chart for each of CURVES of which the log has a value."""
    figures = []
    for caption, names in CURVES.items():
        known = [name for name in names if any(value is not None for value in training.values.get(name, ()))]
        series = [(name.removesuffix("_cosine"), training.values[name]) for name in known]
        if series:
            figures.append(curves(f"{training.name}: {caption}", training.steps, series))
    return figures
