"""Leaderboards as markdown."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.tables.leaderboard import Cell, Column, Leaderboard, Row, baseline_row
from mlcd_eval.tables.text import cell, markdown_table, shown, shown_difference

NOTES = (
    "Per cent, with 95% bootstrap intervals over the test samples. Best in bold, second underlined, published rows in "
    "italics; a dash where there is no value; n is the number of samples scored.",
)


def markdown(boards: Sequence[Leaderboard], baseline: str | None = None) -> str:
    """A section a protocol; `baseline` adds each model's difference from that one.

    Raises ConfigError for a baseline that no table has.
    """
    if baseline is not None and not any(baseline_row(board, baseline) for board in boards):
        models = sorted({row.model for board in boards for row in board.rows})
        raise ConfigError(
            f"--baseline: got {baseline!r}, expected one of {', '.join(models)}{nearest(baseline, models)}"
        )
    return "\n".join([*(_section(board, baseline) for board in boards), *(f"{note}\n" for note in NOTES)])


def _section(board: Leaderboard, baseline: str | None) -> str:
    """Tasks go down and models across, since there are more tasks than models."""
    reference = baseline_row(board, baseline) if baseline is not None else None
    header = [
        "task",
        "metric",
        "n",
        *(f"*{cell(row.model)}*" if row.published else cell(row.model) for row in board.rows),
    ]
    lines = []
    for column in board.columns:
        cells = [_shown(row.cells.get(column, Cell()), column, board, row, reference) for row in board.rows]
        counts = {row.cells[column].num_scored or 0 for row in board.rows if column in row.cells} - {0}
        count = " to ".join(f"{n:,}" for n in sorted({min(counts), max(counts)})) if counts else "-"
        lines.append([column.task.removeprefix(f"{board.protocol}/"), column.metric, count, *cells])
    tasks = {column.task for column in board.columns}
    shared = board.shared_columns()
    if 1 < len(tasks) == len(board.columns) and shared:
        means = [sum(row.cells[column].value or 0.0 for column in shared) / len(shared) for row in board.rows]
        name = "average" if len(shared) == len(board.columns) else f"average of {len(shared)} that all have"
        lines.append([name, "", "", *map(shown, means)])
    text = f"## {board.protocol}\n\n{markdown_table(header, lines, left=2)}"
    if board.other_data:
        sizes = [f"{task} {size:,} ({meant:,})" for task, size, meant in board.other_data]
        text += f"\nNot the protocol's data, by number of samples (and the protocol's): {', '.join(sizes)}.\n"
    return text


def _shown(entry: Cell, column: Column, board: Leaderboard, row: Row, reference: Row | None) -> str:
    if entry.failed is not None:
        return "failed"
    if entry.value is None:
        return "-"
    text = shown(entry.value, decimals=entry.decimals)
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
        text += f" ({shown_difference(entry.value - other)})"
    return text
