"""Leaderboards as markdown."""

from __future__ import annotations

from collections.abc import Sequence

from mlcd_eval.tables.boards.choose import boards_as
from mlcd_eval.tables.boards.fit import fitted
from mlcd_eval.tables.boards.grid import Style, grid, legend
from mlcd_eval.tables.boards.leaderboard import Leaderboard
from mlcd_eval.tables.boards.neighbours import neighbours
from mlcd_eval.tables.formats import TableInput
from mlcd_eval.tables.text import cell, markdown_table

WIDTH = 150
"""Characters of a line, of which an editor shows as many."""
STYLE = Style(text=cell, best="**{}**".format, second="<u>{}</u>".format, published="*{}*".format)


def as_markdown(table: TableInput) -> str:
    """The leaderboards of a request, and its records among published models; raises ConfigError and DataError as
    `choose` and `neighbours`."""
    text = boards_as(markdown, table)
    return text if table.nearest is None else text + neighbours(table.results, table.nearest, table.by)


def markdown(boards: Sequence[Leaderboard], baseline: str | None = None) -> str:
    """One section per board; `baseline` adds each model's difference from that model."""
    return "\n".join([*(_section(board, baseline) for board in boards), f"{legend(boards, STYLE)}\n"])


def _section(board: Leaderboard, baseline: str | None) -> str:
    parts = fitted(grid(board, baseline, STYLE), WIDTH)
    about = f"{cell(board.about)}\n\n" if board.about else ""
    notes = "".join(f"\n{cell(note)}\n" for note in board.notes)
    lines = "\n".join(markdown_table(part.lines[0], part.lines[1:], left=part.names) for part in parts)
    return f"## {cell(board.title)}\n\n{about}{lines}{notes}"
