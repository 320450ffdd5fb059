"""The HTML report: one file with leaderboards, the provenance of every number, charts and examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mlcd_eval.records import Result
from mlcd_eval.tables.boards.choose import choose, of_records
from mlcd_eval.tables.boards.leaderboard import (
    PUBLISHED,
    Column,
    Leaderboard,
    Row,
    check_baseline,
    counts,
    rank,
)
from mlcd_eval.tables.comparison.contest import contests
from mlcd_eval.tables.comparison.pairing import sides
from mlcd_eval.tables.comparison.seeds import pattern
from mlcd_eval.tables.formats import TableInput
from mlcd_eval.tables.report.controls import control_rows
from mlcd_eval.tables.report.differences import MOST, differences
from mlcd_eval.tables.report.efficiency import costs
from mlcd_eval.tables.report.examples import Examples, read_examples
from mlcd_eval.tables.report.folded import folded
from mlcd_eval.tables.report.learning import learning_curves
from mlcd_eval.tables.report.links import Links
from mlcd_eval.tables.report.matrix import fits, matrix
from mlcd_eval.tables.report.of_tasks import task_parts
from mlcd_eval.tables.report.overview import overview
from mlcd_eval.tables.report.page import page
from mlcd_eval.tables.report.panels import panels
from mlcd_eval.tables.report.provenance import Provenance
from mlcd_eval.tables.report.reliability import reliability_of
from mlcd_eval.tables.report.standing import among_published
from mlcd_eval.tables.report.trainings import Training, read_trainings
from mlcd_eval.tables.report.two_models import Picker, compared
from mlcd_eval.tables.text import shown, shown_difference, shown_interval

MANY = 150
"""Rows of a board beyond which a page shows the first 100 published ones only, until it is asked for all: a browser
lays out every shown row again when it sorts."""
MOST_CELLS = 5_000
"""Numbers of a page, of some 500 bytes each with their provenance, beyond which its boards are folded."""
MOST_CELLS_OF_SITE = 1_500
"""The same for a page of a site, where the pages of its tasks and models have every number with its provenance too."""


AVERAGE, OVER_CHANCE = "average", "average over chance"
_MEAN_OF = {AVERAGE: "mean of, in per cent", OVER_CHANCE: "mean of the way from chance to perfect of, in per cent"}


def as_html(table: TableInput) -> str:
    """The page of a request, with the samples beside its records; raises UserError as `report` and its readers do."""
    trainings = [stage for folder in table.trainings for stage in read_trainings(folder)]
    return _page(table, read_examples(table.paths), trainings, None, None)


def report(
    results: Sequence[Result],
    *,
    examples: Sequence[Examples] = (),
    trainings: Sequence[Training] = (),
    links: Links | None = None,
    picks: Picker | None = None,
    **options: Any,
) -> str:
    """The page, alone or with links to the others of its site. options: of a TableInput. picks: which comparisons the
    site has, where they are not on this page.

    Raises ConfigError for an unknown baseline or published model and for no expression, DataError as `choose`.
    """
    return _page(TableInput(results, **options), examples, trainings, links, picks)


def _page(
    table: TableInput,
    examples: Sequence[Examples],
    trainings: Sequence[Training],
    links: Links | None,
    picks: Picker | None,
) -> str:
    results, files = table.results, table.files
    boards, numbers = choose(results, table.published, table.groups, of_records(results), table.suites, table.chance)
    check_baseline(boards, table.baseline)
    rows = [row for board in boards for row in board.rows]
    many = sum(len(board.rows) * len(board.columns) for board in boards) > (MOST_CELLS_OF_SITE if links else MOST_CELLS)
    provenance = Provenance(many)
    folds = [folded(board, _board(board, provenance), provenance) for board in boards] if many else []
    first = matrix(results, files, pattern(table.apart), boards)
    tasks = contests(results, files)
    alone = (links is None and fits(tasks)) or len(tasks) == 1  # else the site has a page for each task
    pairs, picker = _pairs(results, files, first) if picks is None and links is None else ([], picks)
    return page(
        title=links.title if links else "mlcd-eval report",
        links=links,
        models=len({row.model for row in rows}),
        tasks=len({column.task for board in boards for column in board.columns}),
        matrix=first,
        picker=picker,
        compared=pairs,
        task_parts=task_parts(tasks, boards, provenance) if alone else (),
        boards=folds or [_board(board, provenance) for board in boards],
        folds=folds,
        most_differences=MOST,
        many=MANY,
        missed=table.published if not any(row.published for row in rows) else (),
        reproduced=any(row.original for row in rows),
        variants=any(column.variant for board in boards for column in board.columns),
        baseline=table.baseline,
        deltas=differences(results, files, boards, table.baseline, provenance),
        overview=None if many else overview(results),
        costs=costs(results, first["standing"] if first else None),
        panels=panels(results),
        reliability=reliability_of(results, table.baseline),
        controls=control_rows(results),
        trainings=[(training.name, learning_curves(training)) for training in trainings],
        examples=examples,
        standing=among_published(results, numbers, table.nearest, table.by),
        provenance={"entries": provenance.entries, "groups": provenance.groups},
    )


def _pairs(
    results: Sequence[Result], files: Sequence[Path], first: Mapping[str, Any] | None
) -> tuple[list[dict[str, Any]], Picker | None]:
    """The comparisons of a page, of the models that lead its matrix."""
    if first is None or not files:
        return [], None
    return compared(sides(results, files), [row["name"] for row in first["views"][-1]["rows"]])


def _board(board: Leaderboard, provenance: Provenance) -> dict[str, Any]:
    """A table for the template: one line per model, ordered by the first column of numbers, best first."""
    columns = [_header(board, column) for column in board.columns]
    rankings = {column: board.ranked(column) for column in board.columns}
    lines = [
        [_cell(board, row, original, column, ranking, provenance) for column, ranking in rankings.items()]
        for row, original in zip(board.rows, board.originals(), strict=True)
    ]
    averages = [(AVERAGE, board.average()), (OVER_CHANCE, board.over_chance())]
    for place, (name, average) in enumerate(averages):
        if average is None:
            continue
        ranking = average.ranked()
        over = f"{average.name.removeprefix('average').strip()}, {average.measure}"
        columns.insert(place, {"name": name, "metric": over, "count": "", "chance": "", "first": "descending"})
        for row, line, mean in zip(board.rows, lines, average.cells, strict=True):
            opens = None
            if not row.published and not provenance.folded:
                parts = {column.full_name: shown(row[column].value) for column in average.over}
                about = {"value": mean.value}, {_MEAN_OF[name]: parts}
                opens = provenance.add(f"{row.model}: {name}", *about)
            text, best = shown(mean.value, decimals=mean.decimals), rank(mean.value, ranking)
            line.insert(place, {"value": mean.value, "text": text, "small": [], "rank": best, "opens": opens})
    sign = -1 if columns[0]["first"] == "descending" else 1
    pairs = list(zip(board.rows, lines, strict=True))
    pairs.sort(key=lambda pair: (pair[1][0]["value"] is None, sign * (pair[1][0]["value"] or 0.0)))
    rows = [{"row": row, "name": _name(row), "cells": line, "opens": _opens(row, provenance)} for row, line in pairs]
    return {"title": board.title, "about": board.about, "columns": columns, "rows": rows, "notes": board.notes}


def _opens(row: Row, provenance: Provenance) -> int | None:
    """The place of a published row's provenance, which its name opens; None for a record's, whose cells open theirs."""
    return provenance.row(row) if row.published else None


def _name(row: Row) -> str:
    """A published row has a badge instead of the end of its name."""
    return row.model.removesuffix(PUBLISHED) if row.published else row.model


def _header(board: Leaderboard, column: Column) -> dict[str, str]:
    first = "descending" if column.higher_is_better else "ascending"
    by_chance = board.chance(column)
    return {
        "name": column.name,
        "metric": column.measure,
        "count": counts(board, column),
        "chance": "" if by_chance is None else shown(by_chance),
        "first": first,
    }


def _cell(
    board: Leaderboard,
    row: Row,
    original: Row | None,
    column: Column,
    ranking: Sequence[float],
    provenance: Provenance,
) -> dict[str, Any]:
    """A cell for the template; opens: the place of its provenance, None where it has none of its own.

    original: the published row that the row reproduces; ranking: the distinct values of the column, best first.
    """
    if column not in row.cells:
        return {"value": None, "text": "-", "small": [], "rank": "", "opens": None}
    cell = row[column]
    small = [shown_interval(cell.ci95, column.unit)] if cell.ci95 else []
    if difference := board.difference(row, original, column):
        mark = "†" if difference.outside else ""
        small.append(f"Δ {shown_difference(difference.value, column.unit)}{mark}")
    return {
        "value": cell.value,
        "text": "failed" if cell.failed is not None else shown(cell.value, column.unit, cell.decimals),
        "small": small,
        "rank": rank(cell.value, ranking),
        "opens": None if row.published or provenance.folded else provenance.cell(row, column),
    }
