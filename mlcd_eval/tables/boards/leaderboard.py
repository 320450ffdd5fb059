"""A leaderboard: rows of models, columns of tasks, and the rules of ranks, averages and comparisons."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.records import Result
from mlcd_eval.tables.comparison.chance import chance_of, corrected
from mlcd_eval.tables.lookup import protocol_named, shipped_tasks
from mlcd_eval.tables.published import PublishedNumber
from mlcd_eval.tables.text import measure
from mlcd_eval.tables.variants import with_label

PUBLISHED = ", published"
"""The end of the name of a row that comes from a paper."""


@dataclass(frozen=True)
class Column:
    """A task's metric, as measured in one way.

    unit: of its values, as in `Metric`. heading: the name of a paper's column. variant: what sets its numbers apart
    from the usual ones of the task, empty for these (see `identity.variants`).
    """

    task: str
    metric: str
    higher_is_better: bool = True
    unit: str = "fraction"
    protocol: str = ""
    heading: str = ""
    variant: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What no two columns of a board share."""
        return self.task, self.metric, self.variant

    @property
    def name(self) -> str:
        """Its heading: `pets`, `pets [shots=4]`."""
        return with_label(self.heading or self.task.removeprefix(f"{self.protocol}/"), self.variant)

    @property
    def full_name(self) -> str:
        """Task, variant and metric: `linear_probe/pets [shots=4] acc1`."""
        return f"{with_label(self.task, self.variant)} {self.metric}"

    @property
    def measure(self) -> str:
        """The metric, with its unit where that is not per cent, and its direction where lower is better."""
        return measure(self.metric, self.unit, self.higher_is_better)


@dataclass(frozen=True)
class Cell:
    """A value in its column's unit, with interval and count where a record has them; failed: why there is no value.

    decimals: of the value as shown (a fraction's in per cent); of a published value, as many as were printed.
    source: where the value was read.
    """

    value: float | None = None
    ci95: tuple[float, float] | None = None
    num_scored: int | None = None
    failed: str | None = None
    decimals: int = 2
    source: Result | PublishedNumber | None = field(default=None, compare=False, repr=False)


EMPTY = Cell()


@dataclass(frozen=True)
class Row:
    """The values of a model. published: it comes from a paper; original: the name of the published row that it
    reproduces."""

    model: str
    published: bool = False
    cells: dict[Column, Cell] = field(default_factory=dict)
    original: str | None = None

    def __getitem__(self, column: Column) -> Cell:
        """The cell, an empty one where there is none."""
        return self.cells.get(column, EMPTY)


@dataclass(frozen=True)
class Average:
    """Each row's mean over the columns of `over`; cells: in the order of the rows."""

    name: str
    over: list[Column]
    cells: list[Cell]

    @property
    def measure(self) -> str:
        """The metric that the mean is over, or how many."""
        metrics = {column.metric for column in self.over}
        return next(iter(metrics), "") if len(metrics) < 2 else f"{len(metrics)} metrics"

    def ranked(self) -> list[float]:
        """Its distinct values, best first."""
        return _distinct(self.cells, higher_is_better=True)


class Difference(NamedTuple):
    """A value minus another; outside: the other is published and does not lie in this value's interval."""

    value: float
    outside: bool


@dataclass(frozen=True)
class Whole:
    """A suite of which a mean is over all tasks, each by its own metric, or not there. average: its name."""

    average: str
    tasks: tuple[str, ...]


@dataclass(frozen=True)
class Leaderboard:
    """One table. A row may lack the value of any column.

    title: the protocol, a suite or a paper's table; about: where that was printed; notes: sentences below the table.
    whole: the suite, if its mean is over all tasks or not there. with_chance: show chance levels too.
    """

    title: str
    columns: list[Column]
    rows: list[Row]
    about: str = ""
    notes: list[str] = field(default_factory=list)
    whole: Whole | None = None
    with_chance: bool = False

    def ranked(self, column: Column) -> list[float]:
        """The distinct values of a column, best first."""
        return _distinct([row[column] for row in self.rows], column.higher_is_better)

    def average(self) -> Average | None:
        """Over the columns: of the usual numbers of each task, or, where no column is usual, of all.

        None where a mean says nothing: where a row lacks a value, of one task, or over several columns of a task,
        protocols, units, directions or metrics. Papers do print a mean over metrics: over the tasks of a suite, each by
        its own. Of a whole suite a row that lacks a task has no mean.
        """
        if self.whole is not None:
            return self._of_whole(self.whole)
        columns = [column for column in self.columns if not column.variant] or self.columns
        alike = {(column.protocol, column.unit, column.higher_is_better) for column in columns}
        tasks = {column.task for column in columns}
        if len(alike) != 1 or not 1 < len(tasks) == len(columns):
            return None
        if len({column.metric for column in columns}) > 1 and not all(map(_is_averaged_by_papers, columns)):
            return None
        if any(row[column].value is None for column in columns for row in self.rows):
            return None
        name = f"average of {len(columns)}" + ("" if len(columns) == len(self.columns) else " usual")
        return Average(name, columns, [_mean([row[column] for column in columns]) for row in self.rows])

    def _of_whole(self, whole: Whole) -> Average | None:
        columns = [column for column in self.columns if not column.variant]
        missing = [self.missing(row) for row in self.rows]
        if all(missing):
            return None
        cells = [
            EMPTY if lacks else _mean([row[column] for column in columns])
            for row, lacks in zip(self.rows, missing, strict=True)
        ]
        return Average(whole.average, columns, cells)

    def missing(self, row: Row) -> list[str]:
        """The tasks of the whole suite of which a row has no usual value."""
        usual = {column.task: row[column].value for column in self.columns if not column.variant}
        return [task for task in (self.whole.tasks if self.whole else ()) if usual.get(task) is None]

    def chance(self, column: Column) -> float | None:
        """What a model that guesses scores, as a record or a published number of the column says; None for neither, and
        where the board is without."""
        if not self.with_chance:
            return None
        sources = (row[column].source for row in self.rows)
        known = (
            chance_of(source, column.metric) if isinstance(source, Result) else source.chance
            for source in sources
            if source is not None
        )
        return next((value for value in known if value is not None), None)

    def over_chance(self) -> Average | None:
        """The mean over the columns of the average whose chance is known of how far a row is from chance (0) to
        perfect (1); None without an average or of fewer than two columns."""
        average = self.average()
        chances = {column: self.chance(column) for column in (average.over if average else ())}
        known = {column: value for column, value in chances.items() if value is not None and value < 1}
        if average is None or len(known) < 2:
            return None
        cells = [
            EMPTY if mean.value is None else _mean([_corrected(row[column], by) for column, by in known.items()])
            for row, mean in zip(self.rows, average.cells, strict=True)
        ]
        return Average(f"over chance, {len(known)} tasks", list(known), cells)

    def difference(self, row: Row, other: Row | None, column: Column) -> Difference | None:
        """A row's value minus another row's, None where either has none or both are one row."""
        mine, theirs = row[column], other[column] if other is not None else EMPTY
        if row is other or other is None or mine.value is None or theirs.value is None:
            return None
        inside = mine.ci95 is None or mine.ci95[0] <= theirs.value <= mine.ci95[1]
        return Difference(mine.value - theirs.value, other.published and not inside)

    def originals(self) -> list[Row | None]:
        """For each row the published one that it reproduces."""
        published = {row.model: row for row in reversed(self.rows) if row.published}
        return [None if row.original is None else published.get(row.original) for row in self.rows]


def _is_averaged_by_papers(column: Column) -> bool:
    """Whether the column is a shipped task by its own metric, of a protocol whose tasks papers average."""
    task = shipped_tasks().get(column.task)
    averaged = protocol_named(column.protocol).averages_metrics
    return averaged and task is not None and task.settings.get("metric") in (None, column.metric)


def _corrected(cell: Cell, by_chance: float) -> Cell:
    return EMPTY if cell.value is None else replace(cell, value=corrected(cell.value, by_chance))


def _mean(cells: Sequence[Cell]) -> Cell:
    values = [cell.value for cell in cells if cell.value is not None]
    assert values and len(values) == len(cells)
    return Cell(sum(values) / len(values), decimals=min(cell.decimals for cell in cells))


def rank(value: float | None, ranking: Sequence[float]) -> str:
    """`best`, `second` or nothing."""
    return next((name for name, other in zip(("best", "second"), ranking, strict=False) if value == other), "")


def _distinct(cells: Sequence[Cell], higher_is_better: bool) -> list[float]:
    """The distinct values, best first; none of a single value, which is not the best of anything."""
    values = [cell.value for cell in cells if cell.value is not None]
    return sorted(set(values), reverse=higher_is_better) if len(values) > 1 else []


def counts(board: Leaderboard, column: Column) -> str:
    """The number of samples of the column's values: `200`, `200 to 1,000`, or nothing."""
    sizes = {row[column].num_scored or 0 for row in board.rows} - {0}
    return " to ".join(f"{size:,}" for size in sorted({min(sizes), max(sizes)})) if sizes else ""


def baseline_row(board: Leaderboard, name: str | None) -> Row | None:
    """The row of a baseline, by its whole name or a part of it; None where this board lacks it."""
    if name is None:
        return None
    chooses: tuple[Callable[[Row], bool], ...] = (lambda row: row.model == name, lambda row: name in row.model)
    return next((row for choose in chooses for row in board.rows if choose(row)), None)


def check_baseline(boards: Sequence[Leaderboard], name: str | None) -> None:
    """Raise ConfigError for a baseline that is no row of any table."""
    if name is not None and not any(baseline_row(board, name) for board in boards):
        models = sorted({row.model for board in boards for row in board.rows})
        raise ConfigError(f"--baseline: got {name!r}, expected one of {', '.join(models)}{nearest(name, models)}")
