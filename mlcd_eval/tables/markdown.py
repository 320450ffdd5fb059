"""Leaderboards as markdown."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.tables.leaderboard import Cell, Column, Leaderboard, Row, baseline_row
from mlcd_eval.tables.text import cell, markdown_table, shown

NOTES = (
    "Per cent, with 95% bootstrap intervals over the test samples. Best in bold, second underlined, published rows in "
    "italics; a dash where there is no value.",
    "The average is over the tasks that every row has.",
)


def markdown(boards: Sequence[Leaderboard], baseline: str | None = None) -> str:
    """A section a protocol, with a row a model; `baseline` adds each row's difference from that model's.

    Raises ConfigError for a baseline that no table has.
    """
    if baseline is not None and not any(baseline_row(board, baseline) for board in boards):
        models = sorted({row.model for board in boards for row in board.rows})
        raise ConfigError(
            f"--baseline: got {baseline!r}, expected one of {', '.join(models)}{nearest(baseline, models)}"
        )
    return "\n".join([*(_section(board, baseline) for board in boards), *(f"{note}\n" for note in NOTES)])


def _section(board: Leaderboard, baseline: str | None) -> str:
    reference = baseline_row(board, baseline) if baseline is not None else None
    shared = board.shared_columns()
    title = {column: _title(column, board) for column in board.columns}
    header = ["model", *(title[column] for column in board.columns), *(["average"] if len(board.columns) > 1 else [])]
    rows = []
    for row in board.rows:
        name = cell(row.model)
        cells = [_shown(row.cells.get(column, Cell()), column, board, row, reference) for column in board.columns]
        if len(board.columns) > 1:
            values = [row.cells[column].value or 0.0 for column in shared]
            cells.append(shown(sum(values) / len(values)) if values else "-")
        rows.append([f"*{name}*" if row.published else name, *cells])
    left_out = len(board.columns) - len(shared)
    note = f"\nThe average leaves out {left_out} of {len(board.columns)} columns.\n" if left_out and shared else ""
    return f"## {board.protocol}\n\n{markdown_table(header, rows)}{note}"


def _title(column: Column, board: Leaderboard) -> str:
    """The dataset's name and the metric."""
    return f"{column.task.removeprefix(f'{board.protocol}/')} {column.metric}"


def _shown(entry: Cell, column: Column, board: Leaderboard, row: Row, reference: Row | None) -> str:
    if entry.failed is not None:
        return "failed"
    if entry.value is None:
        return "-"
    text = shown(entry.value)
    ranking = board.ranked(column)
    if len(board.rows) > 1:
        if entry.value == ranking[0]:
            text = f"**{text}**"
        elif len(ranking) > 1 and entry.value == ranking[1]:
            text = f"<u>{text}</u>"
    if entry.ci95 is not None:
        text += f" [{shown(entry.ci95[0], decimals=1)}, {shown(entry.ci95[1], decimals=1)}]"
    other = reference.cells.get(column, Cell()).value if reference is not None and reference is not row else None
    if other is not None:
        text += f" ({(entry.value - other) * 100:+.2f})"
    return text
