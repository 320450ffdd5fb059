"""Records and published numbers as a leaderboard: rows of models, columns of tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from mlcd_eval.errors import ConfigError, DataError, nearest
from mlcd_eval.published import PublishedNumber
from mlcd_eval.records import Result


@dataclass(frozen=True)
class Column:
    """A task's metric."""

    task: str
    metric: str
    higher_is_better: bool = True


@dataclass(frozen=True)
class Cell:
    """A value as a fraction; interval and count of a reproduced one; failed: why there is no value.

    decimals: of the value in per cent; of a published one, as many as were printed.
    """

    value: float | None = None
    ci95: tuple[float, float] | None = None
    num_scored: int | None = None
    failed: str | None = None
    decimals: int = 2


@dataclass(frozen=True)
class Row:
    """A model; published rows come from a paper."""

    model: str
    published: bool = False
    cells: dict[Column, Cell] = field(default_factory=dict)


@dataclass(frozen=True)
class Leaderboard:
    """One protocol's table. Every row of `rows` may lack any of `columns`.

    other_data: tasks scored on another number of samples than the protocol's data has: (task, samples, protocol's).
    """

    protocol: str
    columns: list[Column]
    rows: list[Row]
    other_data: list[tuple[str, int, int]] = field(default_factory=list)

    def shared_columns(self) -> list[Column]:
        """The columns in which every row has a value: what an average may be over."""
        return [
            column
            for column in self.columns
            if all(column in row.cells and row.cells[column].value is not None for row in self.rows)
        ]

    def ranked(self, column: Column) -> list[float]:
        """The distinct values of a column, best first."""
        values = {row.cells[column].value for row in self.rows if column in row.cells}
        return sorted((value for value in values if value is not None), reverse=column.higher_is_better)


def leaderboards(results: Sequence[Result], published: Iterable[PublishedNumber] = ()) -> list[Leaderboard]:
    """A leaderboard for each protocol, in the order in which the records bring them.

    Raises DataError where two records would fill one cell (same model, task and metric, other settings or seed).
    """
    numbers = list(published)
    boards = []
    for protocol in dict.fromkeys(result.task.protocol for result in results):
        own = [result for result in results if result.task.protocol == protocol]
        rows: dict[str, Row] = {}
        columns: dict[Column, None] = {}
        for result in own:
            row = rows.setdefault(result.model.name, Row(result.model.name))
            for column, cell in _cells(result, own):
                if column in row.cells:
                    raise clash(result)
                columns[column] = None
                row.cells[column] = cell
        tabled = [*rows.values(), *_published_rows(numbers, list(columns))]
        boards.append(Leaderboard(protocol, list(columns), tabled, _other_data(own)))
    return boards


def clash(result: Result) -> DataError:
    """What to raise where a second record would take a filled cell."""
    return DataError(
        f"two records of {result.model.name} for {result.task.name} differ in settings, data or seed: "
        f"give `mlcd-eval table` one of them"
    )


def _other_data(results: Sequence[Result]) -> list[tuple[str, int, int]]:
    sizes = [(r.task.name, r.dataset.num_samples, r.dataset.expected_num_samples) for r in results if r.status == "ok"]
    return sorted({(task, size, meant) for task, size, meant in sizes if size and meant and size != meant})


def _cells(result: Result, peers: Sequence[Result]) -> Iterable[tuple[Column, Cell]]:
    """The primary metric of a classification task; every metric that retrieval reports."""
    task = result.task.name
    if result.status == "error":
        names = {peer.primary_metric for peer in peers if peer.task.name == task and peer.primary_metric}
        yield Column(task, min(names, default="failed")), Cell(failed=result.error)
    for metric in result.metrics:
        if metric.name == result.primary_metric or result.task.protocol == "retrieval":
            cell = Cell(metric.value, metric.ci95, metric.num_scored)
            yield Column(task, metric.name, metric.higher_is_better), cell


def _published_rows(numbers: Sequence[PublishedNumber], columns: Sequence[Column]) -> list[Row]:
    rows: dict[str, Row] = {}
    by_place = {(column.task, column.metric): column for column in columns}
    for number in numbers:
        column = by_place.get((number.task or "", number.metric))
        if column is not None and number.fraction is not None:
            label = f"{number.label}, published"
            cells = rows.setdefault(label, Row(label, published=True)).cells
            assert column not in cells, f"two published values of {label} for {column.task}"
            decimals = number.decimals - (2 if number.unit == "fraction" else 0)
            cells[column] = Cell(number.fraction, decimals=decimals)
    return list(rows.values())


def published_of(name: str, numbers: Sequence[PublishedNumber]) -> list[PublishedNumber]:
    """The numbers whose model bears the name, or whose label holds it; raises ConfigError with the nearest name."""
    found = [number for number in numbers if name.lower() == number.model.lower()]
    found = found or [number for number in numbers if name.lower() in number.label.lower()]
    if not found:
        models = sorted({number.model for number in numbers})
        raise ConfigError(
            f"--published: got {name!r}, expected a model of `mlcd-eval ls published`{nearest(name, models)}"
        )
    return found


def baseline_row(board: Leaderboard, name: str) -> Row | None:
    """The row that a baseline's name means, None where this board lacks it."""
    chooses: tuple[Callable[[Row], bool], ...] = (lambda row: row.model == name, lambda row: name in row.model)
    return next((row for choose in chooses for row in board.rows if choose(row)), None)
