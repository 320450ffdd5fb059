"""Tables that fit: too wide ones go down by models, in parts of which each repeats the models' names."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby

from mlcd_eval.tables.boards.grid import Grid


def fitted(
    table: Grid, width: int, length: Callable[[str], int] = len, between: int = 3, wrapped: float = math.inf
) -> list[Grid]:
    """The table in as few parts as have lines of at most `width` characters, in the order of its columns.

    length: of a cell as it is seen; between: the characters between two columns; wrapped: the length from which the
    names of models that stand one below the other take several lines. A table that is too wide with models
    side by side has them one below the other, so that they still stand together. The columns of one task are in one
    part unless they alone are too wide; a column that is too wide by itself is a part.
    """
    widths = widths_of(table, length, between)
    if sum(widths) <= width:
        return [table]
    if not table.models_down:
        return fitted(table.turned(), width, length, between, wrapped)
    room = width - int(min(wrapped + between, sum(widths[: table.names])))
    parts: list[list[int]] = []
    left = 0
    for group in _groups(table, widths, room):
        needed = sum(widths[column] for column in group)
        if not parts or needed > left:
            parts.append([])
            left = room
        parts[-1] += group
        left -= needed
    names = range(table.names)
    return [
        replace(
            table,
            lines=[[line[column] for column in (*names, *part)] for line in table.lines],
            tasks=[table.tasks[column] for column in (*names, *part)],
        )
        for part in parts
    ]


def widths_of(table: Grid, length: Callable[[str], int], between: int) -> list[int]:
    """The characters of each column; length and between: as in `fitted`."""
    return [max(map(length, column)) + between for column in zip(*table.lines, strict=True)]


def _groups(table: Grid, widths: list[int], room: int) -> Iterator[list[int]]:
    """The columns of each task, in order; those that do not fit, alone."""
    columns = range(table.names, len(widths))
    for _, members in groupby(columns, key=lambda column: table.tasks[column]):
        group = list(members)
        if sum(widths[column] for column in group) <= room:
            yield group
        else:
            yield from ([column] for column in group)
