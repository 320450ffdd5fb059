"""A leaderboard: rows of models, columns of tasks, and the rules of ranks, averages and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mlcd_eval.errors import ConfigError, nearest

PUBLISHED = ", published"
"""What the name of a row that comes from a paper ends with."""


@dataclass(frozen=True)
class Column:
    """A task's metric. unit: of its values, as in `Metric`; heading: of a paper's column, where the task has none."""

    task: str
    metric: str
    higher_is_better: bool = True
    unit: str = "fraction"
    protocol: str = ""
    heading: str = ""

    @property
    def name(self) -> str:
        """What stands over it."""
        return self.heading or self.task.removeprefix(f"{self.protocol}/")

    @property
    def measure(self) -> str:
        """The metric, with what its numbers are where they are no per cents and where less is better."""
        unit = "" if self.unit == "fraction" else f", {self.unit}"
        return self.metric + unit + ("" if self.higher_is_better else ", lower is better")


@dataclass(frozen=True)
class Cell:
    """A value in its column's unit; interval and count of a reproduced one; failed: why there is no value.

    decimals: of the value as shown (a fraction's in per cent); of a published one, as many as were printed.
    """

    value: float | None = None
    ci95: tuple[float, float] | None = None
    num_scored: int | None = None
    failed: str | None = None
    decimals: int = 2


EMPTY = Cell()


@dataclass(frozen=True)
class Row:
    """A model. published: it comes from a paper; original: the name of the published row that it reproduces."""

    model: str
    published: bool = False
    cells: dict[Column, Cell] = field(default_factory=dict)
    original: str | None = None

    def __getitem__(self, column: Column) -> Cell:
        """The cell, an empty one where there is none."""
        return self.cells.get(column, EMPTY)


@dataclass(frozen=True)
class Average:
    """Each row's mean over `over`, in the order of the rows."""

    name: str
    over: list[Column]
    cells: list[Cell]

    def ranked(self) -> list[float]:
        """Its distinct values, best first."""
        return _distinct(self.cells, higher_is_better=True)


@dataclass(frozen=True)
class Difference:
    """A value minus another; outside: the other is published and does not lie in this value's interval."""

    value: float
    outside: bool


@dataclass(frozen=True)
class Leaderboard:
    """One table. Every row of `rows` may lack any of `columns`.

    title: the protocol, or a paper's table; about: where that was printed; notes: sentences to read it with.
    """

    title: str
    columns: list[Column]
    rows: list[Row]
    about: str = ""
    notes: list[str] = field(default_factory=list)

    def ranked(self, column: Column) -> list[float]:
        """The distinct values of a column, best first."""
        return _distinct([row[column] for row in self.rows], column.higher_is_better)

    def average(self) -> Average | None:
        """Over the columns in which every row has a value; without any, a value has none either.

        None where a mean says nothing: of one task, or over several metrics of a task, protocols, units or directions.
        """
        alike = {(column.protocol, column.unit, column.higher_is_better) for column in self.columns}
        tasks = {column.task for column in self.columns}
        if len(alike) != 1 or not 1 < len(tasks) == len(self.columns):
            return None
        over = [column for column in self.columns if all(row[column].value is not None for row in self.rows)]
        if not over:
            return Average("average (no task has a value of every model)", [], [EMPTY] * len(self.rows))
        name = "average" if len(over) == len(self.columns) else f"average of {len(over)} that all have"
        return Average(name, over, [_mean([row[column] for column in over]) for row in self.rows])

    def difference(self, row: Row, other: Row | None, column: Column) -> Difference | None:
        """Of a row's value from another row's, None where either has none or both are one row."""
        mine, theirs = row[column], other[column] if other is not None else EMPTY
        if row is other or other is None or mine.value is None or theirs.value is None:
            return None
        inside = mine.ci95 is None or mine.ci95[0] <= theirs.value <= mine.ci95[1]
        return Difference(mine.value - theirs.value, other.published and not inside)

    def original(self, row: Row) -> Row | None:
        """The published row that a row reproduces."""
        return next((other for other in self.rows if other.published and other.model == row.original), None)


def _mean(cells: Sequence[Cell]) -> Cell:
    values = [cell.value for cell in cells if cell.value is not None]
    assert values and len(values) == len(cells)
    return Cell(sum(values) / len(values), decimals=min(cell.decimals for cell in cells))


def rank(value: float | None, ranking: Sequence[float]) -> str:
    """`best`, `second` or nothing."""
    return next((name for name, other in zip(("best", "second"), ranking, strict=False) if value == other), "")


def _distinct(cells: Sequence[Cell], higher_is_better: bool) -> list[float]:
    """Nothing of a single row, which is no best."""
    if len(cells) < 2:
        return []
    return sorted({cell.value for cell in cells if cell.value is not None}, reverse=higher_is_better)


def counts(board: Leaderboard, column: Column) -> str:
    """How many samples the column's values are over: `200`, `200 to 1,000`, or nothing."""
    sizes = {row[column].num_scored or 0 for row in board.rows} - {0}
    return " to ".join(f"{size:,}" for size in sorted({min(sizes), max(sizes)})) if sizes else ""


def baseline_row(board: Leaderboard, name: str | None) -> Row | None:
    """The row that a baseline's name means, None where this board lacks it."""
    if name is None:
        return None
    chooses: tuple[Callable[[Row], bool], ...] = (lambda row: row.model == name, lambda row: name in row.model)
    return next((row for choose in chooses for row in board.rows if choose(row)), None)


def check_baseline(boards: Sequence[Leaderboard], name: str | None) -> None:
    """Raise ConfigError for a baseline that no table has."""
    if name is not None and not any(baseline_row(board, name) for board in boards):
        models = sorted({row.model for board in boards for row in board.rows})
        raise ConfigError(f"--baseline: got {name!r}, expected one of {', '.join(models)}{nearest(name, models)}")
