"""Tables on a terminal, drawn by rich within its width; what is too wide stands in parts."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from mlcd_eval.tables.boards.choose import boards_as
from mlcd_eval.tables.boards.fit import fitted
from mlcd_eval.tables.boards.grid import Grid, Style, grid, legend
from mlcd_eval.tables.boards.leaderboard import Leaderboard
from mlcd_eval.tables.boards.neighbours import neighbours
from mlcd_eval.tables.formats import TableInput
from mlcd_eval.tables.text import MARKDOWN, Drawing

BETWEEN = 3
"""Characters between two columns as rich draws them: a space on each side of a rule that is not seen."""


def visible(text: str) -> str:
    """Text on one line as rich shows it unchanged, without characters that would steer the terminal."""
    return escape("".join(character for character in " ".join(text.split()) if character.isprintable()))


STYLE = Style(
    text=visible,
    best="[bold]{}[/bold]".format,
    second="[underline]{}[/underline]".format,
    published="[italic]{}[/italic]".format,
)


def as_terminal(table: TableInput) -> str:
    """The leaderboards of a request; raises ConfigError and DataError as `choose` and `neighbours`."""
    text = boards_as(_boards, table)
    return text if table.nearest is None else text + neighbours(table.results, table.nearest, table.by)


def drawing() -> Drawing:
    """How tables are printed: drawn on a terminal, as markdown into a file or a pipe."""
    return Drawing(visible, _drawn) if sys.stdout.isatty() else MARKDOWN


def _boards(boards: Sequence[Leaderboard], baseline: str | None = None) -> str:
    return "\n".join([*(_section(board, baseline) for board in boards), _printed(visible(legend(boards, STYLE)))])


def _section(board: Leaderboard, baseline: str | None) -> str:
    lines = [f"[bold]{visible(board.title)}[/bold]", *([visible(board.about)] if board.about else [])]
    notes = [_printed(visible(note)) for note in board.notes]
    return "\n".join([_printed("\n".join(lines)), _parts(grid(board, baseline, STYLE)), *notes])


def _drawn(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table of cells of rich's markup, the first `left` columns flush left; each part begins with the first."""
    columns = [f"{number}" for number in range(len(header))]
    return _parts(Grid([list(header), *map(list, rows)], heads=1, names=1, models_down=True, tasks=columns), left)


def _parts(table: Grid, left: int = 0) -> str:
    width = shutil.get_terminal_size().columns
    parts = fitted(table, width, _length, BETWEEN, wrapped=width // 3)
    return "\n".join(_printed(_table(part, left if part is table else part.names)) for part in parts)


def _table(part: Grid, left: int) -> Table:
    drawn = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    heads = ["\n".join(lines) for lines in zip(*part.lines[: part.heads], strict=True)]
    for number, head in enumerate(heads):
        names = number < max(left, part.names)
        drawn.add_column(head, justify="left" if names else "right", overflow="fold", no_wrap=number >= part.names)
    for line in part.lines[part.heads :]:
        drawn.add_row(*line)
    return drawn


def _length(text: str) -> int:
    return Text.from_markup(text).cell_len


def _printed(shown: str | Table) -> str:
    """What rich writes, with the colours that the terminal has."""
    console = Console(width=shutil.get_terminal_size().columns, highlight=False)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()
