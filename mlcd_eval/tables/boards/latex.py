"""Leaderboards as LaTeX tables of the booktabs package."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from mlcd_eval.tables.boards.choose import boards_as
from mlcd_eval.tables.boards.fit import fitted, widths_of
from mlcd_eval.tables.boards.grid import Grid, Style, grid, legend
from mlcd_eval.tables.boards.leaderboard import Leaderboard
from mlcd_eval.tables.formats import TableInput

WIDTH, WRAPPED = 92, 34
"""Characters of a line, as many as fit a page of two columns in ten points, and of a model's name in one line."""
COLUMN, LINES, SPACE = 46, 40, 2
"""Characters of a line that fit one of two columns, lines that fit a page below a caption, and characters between the
columns of a table."""
BETWEEN = "\\par\\bigskip\n"
ESCAPES = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", '"': r"\textquotedbl{}"}
    | {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
    | {character: f"{{{character}}}" for character in "[]*"}  # after \\ they would be its argument
)


def escaped(text: str) -> str:
    """Text that LaTeX prints unchanged, on one line."""
    return " ".join(text.split()).translate(ESCAPES)


STYLE = Style(
    text=escaped,
    best=r"\textbf{{{}}}".format,
    second=r"\underline{{{}}}".format,
    published=r"\textit{{{}}}".format,
    dash="--",
    delta=r"$\Delta$ ",
    outside=r"\textsuperscript{\dag}",
)


def as_latex(table: TableInput) -> str:
    """The leaderboards of a request; raises ConfigError and DataError as `choose`."""
    return boards_as(latex, table, remark="% {}\n")


def latex(boards: Sequence[Leaderboard], baseline: str | None = None) -> str:
    """One table environment per board, or several where it takes more than a page; `baseline` adds each model's
    difference from that model."""
    return "\n".join(["% \\usepackage{booktabs,array}\n", *(_table(board, baseline) for board in boards)])


def _table(board: Leaderboard, baseline: str | None) -> str:
    parts = fitted(grid(board, baseline, STYLE), WIDTH, _seen, between=SPACE, wrapped=WRAPPED)
    is_wide = max(sum(widths_of(part, _seen, SPACE)) for part in parts) > COLUMN
    floats: list[list[Grid]] = []
    for part in parts:
        if not floats or sum(map(_height, (*floats[-1], part))) > LINES:
            floats.append([])
        floats[-1].append(part)
    sentences = [f"{board.title}.", board.about, *board.notes]
    caption = " ".join([escaped(text) for text in sentences if text] + [legend([board], STYLE).replace("%", r"\%")])
    captions = [caption, *[escaped(f"{board.title}, continued.")] * (len(floats) - 1)]
    return "\n".join(_float(of, several, is_wide) for of, several in zip(captions, floats, strict=True))


def _float(caption: str, parts: Sequence[Grid], is_wide: bool) -> str:
    tables = BETWEEN.join(map(_tabular, parts)).splitlines()
    name = "table*" if is_wide else "table"  # across both columns, if there are two
    return _environment(name, "", [r"\centering", rf"\caption{{{caption}}}", *tables])


def _height(table: Grid) -> int:
    """The lines that a table takes, with those of names that wrap."""
    return sum(max(1, math.ceil(_seen(line[0]) / WRAPPED)) for line in table.lines)


def _tabular(table: Grid) -> str:
    wraps = table.models_down and max(_seen(line[0]) for line in table.lines) > WRAPPED
    names = rf">{{\raggedright}}p{{{WRAPPED * 0.45:.1f}em}}" if wraps else "l" * table.names
    columns = names + "r" * (len(table.lines[0]) - table.names)
    heads, rows = table.lines[: table.heads], table.lines[table.heads :]
    lines = [r"\toprule", *map(_line, heads), r"\midrule", *map(_line, rows), r"\bottomrule"]
    return _environment("tabular", f"{{{columns}}}", lines)


def _environment(name: str, arguments: str, lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in (rf"\begin{{{name}}}{arguments}", *lines, rf"\end{{{name}}}"))


def _seen(text: str) -> int:
    """The characters that a cell shows: a command has none, its argument those of its text."""
    return len(re.sub(r"\\text(backslash|ascii\w+|quotedbl|less|greater|bar)\{\}|\\dag|\\Delta", "x", text)) - sum(
        len(command) for command in re.findall(r"\\(?:textbf|textit|underline|textsuperscript)\b|[\\{}$]", text)
    )


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
