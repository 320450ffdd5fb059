"""The boards of a page with more numbers than a browser shows at once: compact data, of which the page's script shows
some columns at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlcd_eval.tables.boards.leaderboard import Leaderboard, Row
from mlcd_eval.tables.report.provenance import Provenance


def folded(board: Leaderboard, shown: Mapping[str, Any], provenance: Provenance) -> dict[str, Any]:
    """A board for the script, from the board that the template of a smaller page would show.

    columns: name, metric, count, the order in which sorting starts, task, rows that are best and that are second.
    rows: name, whether it is published, its entry of provenance or None, its name in a title. cells: by column and row,
    the value and the small texts below it, joined by `|`, empty where there is none. failed: by column and row, why.
    shared: the places of groups of provenance that all records of a row have, those of a column, and by column and row
    the others.
    """
    rows: list[Row] = [line["row"] for line in shown["rows"]]
    lines = [line["cells"] for line in shown["rows"]]
    own = len(shown["columns"]) - len(board.columns)  # the average, if there is one
    columns, cells = [], []
    for place, header in enumerate(shown["columns"]):
        of_column = [line[place] for line in lines]
        ranks = [[at for at, cell in enumerate(of_column) if cell["rank"] == name] for name in ("best", "second")]
        task = board.columns[place - own].task if place >= own else ""
        columns.append([header["name"], header["metric"], header["count"], header["first"], task, *ranks])
        cells.append(["" if cell["text"] == "-" else "|".join([cell["text"], *cell["small"]]) for cell in of_column])
    places = [
        [[] if row.published or column not in row.cells else provenance.shared(row, column) for row in rows]
        for column in board.columns
    ]
    failed = {
        f"{place + own},{at}": row[column].failed
        for place, column in enumerate(board.columns)
        for at, row in enumerate(rows)
        if row[column].failed is not None
    }
    return {
        **{name: shown[name] for name in ("title", "about", "notes")},
        "columns": columns,
        "rows": [[line["name"], line["row"].published, line["opens"]] for line in shown["rows"]],
        "cells": cells,
        "failed": failed,
        "shared": _shared(places, own),
    }


def _shared(places: Sequence[Sequence[Sequence[int]]], own: int) -> dict[str, Any]:
    """What the numbers of each row and of each column share, and what is left. places: by column and row; own: columns
    that precede these."""
    of_columns = [_common(column) for column in places]
    of_rows = [_common(row) for row in zip(*places, strict=True)]
    others = {}
    for place, column in enumerate(places):
        for at, cell in enumerate(column):
            if rest := [number for number in cell if number not in of_columns[place] and number not in of_rows[at]]:
                others[f"{place + own},{at}"] = rest
    return {
        "columns": [[] for _ in range(own)] + [*map(sorted, of_columns)],
        "rows": [*map(sorted, of_rows)],
        "others": others,
    }


def _common(cells: Sequence[Sequence[int]]) -> set[int]:
    """The numbers that all cells which have any share."""
    filled = [set(cell) for cell in cells if cell]
    return set.intersection(*filled) if filled else set()
