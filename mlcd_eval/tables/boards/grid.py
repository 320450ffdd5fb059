"""A leaderboard as rows of text, in the marks of one format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mlcd_eval.tables.boards.leaderboard import (
    PUBLISHED,
    Cell,
    Column,
    Difference,
    Leaderboard,
    Row,
    baseline_row,
    counts,
    rank,
)
from mlcd_eval.tables.text import shown, shown_difference, shown_interval

FEW = 3
"""Up to this number, models are columns side by side, however few tasks there are."""


class Style(NamedTuple):
    """The marks of a format. text: makes a name safe; delta: precedes a difference from the published value;
    outside: marks one that lies outside the interval."""

    text: Callable[[str], str]
    best: Callable[[str], str]
    second: Callable[[str], str]
    published: Callable[[str], str]
    dash: str = "-"
    delta: str = "Δ "
    outside: str = "†"


@dataclass(frozen=True)
class Grid:
    """lines: all of one length; heads: the number of lines that are headings; names: the number of cells without
    numbers at the start of a line; facts: of those about the task that follow, the number of samples and the chance
    level; models_down: whether each further line is of a model, or of a task; tasks: of each column of the former, or
    line of the latter."""

    lines: list[list[str]]
    heads: int
    names: int
    tasks: list[str]
    facts: int = 0
    models_down: bool = False

    def turned(self) -> Grid:
        """A grid of a line per task with a line per model."""
        lines = [list(line) for line in zip(*self.lines, strict=True)]
        return Grid(lines, heads=self.names + self.facts, names=self.heads, tasks=self.tasks, models_down=True)


def grid(board: Leaderboard, baseline: str | None, style: Style) -> Grid:
    """One line per task, or one per model where there are many models and more of them than tasks.

    Numbers have their rank, interval and difference from the baseline and from the published row that they reproduce.
    """
    reference = baseline_row(board, baseline)
    only_published = all(row.published for row in board.rows)
    lines = [["task", "metric", "n", "chance", *(_name(row, only_published, style) for row in board.rows)]]
    sides = [(row, reference, original) for row, original in zip(board.rows, board.originals(), strict=True)]
    for column in board.columns:
        ranking, count = board.ranked(column), counts(board, column)
        cells = [_shown(board, *side, column, ranking, style) for side in sides]
        by_chance = board.chance(column)
        about = [count or style.dash, style.dash if by_chance is None else shown(by_chance)]
        lines.append([style.text(column.name), style.text(column.measure), *about, *cells])
    facts = [place for place in (2, 3) if any(line[place] != style.dash for line in lines[1:])]
    for average in filter(None, (board.average(), board.over_chance())):
        ranking = average.ranked()
        means = [_ranked(_value(cell, "fraction", style), cell, ranking, style) for cell in average.cells]
        lines.append([style.text(average.name), style.text(average.measure), "", "", *means])
    lines = [[*line[:2], *(line[place] for place in facts), *line[4:]] for line in lines]
    tasks = ["", *(column.task for column in board.columns), *["average"] * len(lines)][: len(lines)]
    table = Grid(lines, heads=1, names=2, tasks=tasks, facts=len(facts))
    return table.turned() if len(board.rows) > max(len(lines) - 1, FEW) else table


def legend(boards: Sequence[Leaderboard], style: Style) -> str:
    """How to read these boards."""
    rows = [row for board in boards for row in board.rows]
    reproduced = any(not row.published for row in rows)
    named = any(column.unit != "fraction" for board in boards for column in board.columns)
    unit = "Per cent, or the unit that is named" if named else "Per cent"
    sentences = [f"{unit}, with 95% bootstrap intervals over the test samples" if reproduced else unit]
    mixed = ", published rows in italics" if reproduced and any(row.published for row in rows) else ""
    sentences.append(f"Best in bold, second underlined{mixed}; a dash where there is no value")
    if reproduced:
        sentences[-1] += "; n is the number of samples scored"
    if any(column.variant for board in boards for column in board.columns):
        sentences.append("Square brackets name how numbers differ from the usual ones of their task")
    if any(row.original for row in rows):
        sentences.append(
            f"{style.delta}is reproduced minus published, {style.outside} where the published value lies outside the "
            f"interval"
        )
    return "".join(f"{sentence}. " for sentence in sentences).rstrip()


def _name(row: Row, only_published: bool, style: Style) -> str:
    name = style.text(row.model.removesuffix(PUBLISHED) if only_published else row.model)
    return style.published(name) if row.published and not only_published else name


def _value(cell: Cell, unit: str, style: Style) -> str:
    if cell.failed is not None:
        return "failed"
    return style.dash if cell.value is None else shown(cell.value, unit, cell.decimals)


def _ranked(text: str, cell: Cell, ranking: Sequence[float], style: Style) -> str:
    place = rank(cell.value, ranking)
    return style.best(text) if place == "best" else style.second(text) if place == "second" else text


def _shown(
    board: Leaderboard,
    row: Row,
    reference: Row | None,
    original: Row | None,
    column: Column,
    ranking: Sequence[float],
    style: Style,
) -> str:
    """A cell with its interval and its differences from a baseline and from the published row that it reproduces.

    ranking: the distinct values of the column, best first.
    """
    cell = row[column]
    text = _ranked(_value(cell, column.unit, style), cell, ranking, style)
    if cell.value is not None and cell.ci95 is not None:
        text += f" {shown_interval(cell.ci95, column.unit)}"
    if difference := board.difference(row, reference, column):
        text += f" ({_difference(difference, column, style)})"
    if difference := board.difference(row, original, column):
        text += f" ({style.delta}{_difference(difference, column, style)})"
    return text


def _difference(difference: Difference, column: Column, style: Style) -> str:
    return shown_difference(difference.value, column.unit) + (style.outside if difference.outside else "")
