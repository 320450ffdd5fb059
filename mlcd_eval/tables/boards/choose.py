"""Records and published numbers to leaderboards: one a protocol, or one a paper's table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mlcd_eval.errors import ConfigError, DataError, nearest
from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.leaderboard import PUBLISHED, Cell, Column, Leaderboard, Row
from mlcd_eval.tables.published import PublishedNumber, PublishedTable, published_numbers, published_table

PRINTED_MEAN = "mean"
"""The metric of a paper's column of averages, which a leaderboard computes itself."""


def choose(
    results: Sequence[Result], published: Sequence[str] = (), groups: Sequence[str] = ()
) -> tuple[list[Leaderboard], list[PublishedNumber]]:
    """The leaderboards of a request, and the published numbers that it names.

    published: names of models, as in `published_of`; MODEL=NAME pairs a model of the records with the one row that it
    reproduces. groups: papers' tables, a leaderboard each, with the records of their tasks; without any there is a
    leaderboard for each protocol. Raises ConfigError for a name that is none or means several rows, DataError where
    two records or units would share a cell or column.
    """
    tables = [published_table(group) for group in groups]
    every = published_numbers() if published else []
    numbers: list[PublishedNumber] = []
    originals: dict[str, str] = {}
    for text in published:
        model = next((r.model.name for r in results if text.startswith(f"{r.model.name}=")), None)
        found = published_of(text.removeprefix(f"{model}=") if model else text, every)
        labels = list(dict.fromkeys(number.label for number in found))
        if model and len(labels) > 1:
            raise ConfigError(f"--published {text}: got {len(labels)} rows, expected one: {'; '.join(labels)}")
        originals |= {model: labels[0] + PUBLISHED} if model else {}
        numbers += found
    if tables:
        boards = [_of_table(table, results, dict.fromkeys([*table.numbers, *numbers]), originals) for table in tables]
    else:
        boards = leaderboards(results, list(dict.fromkeys(numbers)), originals)
    return boards, list(dict.fromkeys([*(number for table in tables for number in table.numbers), *numbers]))


def leaderboards(
    results: Sequence[Result], published: Sequence[PublishedNumber] = (), originals: Mapping[str, str] | None = None
) -> list[Leaderboard]:
    """One for each protocol, in the order in which the records bring them; without records, of the published numbers.

    originals: model -> name of the published row that it reproduces.
    """
    if results:
        protocols = dict.fromkeys(result.task.protocol for result in results)
    else:
        protocols = dict.fromkeys(number.protocol for number in published)
    boards = []
    for protocol in protocols:
        own = [result for result in results if result.task.protocol == protocol]
        columns = _Columns()
        for result in own:
            for metric in _shown_metrics(result):
                columns.add(_column(result, metric), result.model.name)
        for result in own:
            columns.add_failed(result)
        for number in () if results else published:
            if number.protocol == protocol and number.metric != PRINTED_MEAN:
                columns.add(_printed_column(number), number.label)
        boards.append(_board(Leaderboard(protocol, columns.all, []), columns, own, published, originals or {}))
    return boards


def published_of(name: str, numbers: Sequence[PublishedNumber]) -> list[PublishedNumber]:
    """The numbers whose label or model is the name, else whose label holds it; raises ConfigError with the nearest."""
    wanted = name.lower()
    found = [number for number in numbers if wanted in (number.label.lower(), number.model.lower())]
    found = found or [number for number in numbers if wanted in number.label.lower()]
    if not found:
        models = sorted({number.model for number in numbers})
        raise ConfigError(
            f"--published: got {name!r}, expected a model of `mlcd-eval ls published`{nearest(name, models)}"
        )
    return found


def clash(result: Result) -> DataError:
    """What to raise where a second record would take a filled cell."""
    return DataError(
        f"two records of {result.model.name} for {result.task.name} differ in settings, data or seed: "
        f"give `mlcd-eval table` one of them"
    )


class _Columns:
    """Columns by task and metric; one holds one unit."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], tuple[Column, str]] = {}

    @property
    def all(self) -> list[Column]:
        return [column for column, _ in self._first.values()]

    def get(self, column: Column, model: str) -> Column | None:
        """The column of the same task and metric; raises DataError where its numbers are of another kind."""
        if (column.task, column.metric) not in self._first:
            return None
        first, other = self._first[column.task, column.metric]
        if (first.unit, first.higher_is_better) != (column.unit, column.higher_is_better):
            raise DataError(
                f"{column.task} {column.metric} is in {_kind(first)} for {other} and in {_kind(column)} for {model}: "
                f"a column holds one unit"
            )
        return first

    def add(self, column: Column, model: str) -> None:
        if self.get(column, model) is None:
            self._first[column.task, column.metric] = column, model

    def add_failed(self, result: Result) -> None:
        """A column for a task that no record has a value of."""
        if result.status == "error" and all(column.task != result.task.name for column in self.all):
            self.add(Column(result.task.name, "failed", protocol=result.task.protocol), result.model.name)


def _kind(column: Column) -> str:
    return f"{column.unit} ({'higher' if column.higher_is_better else 'lower'} is better)"


def _column(result: Result, metric: Metric) -> Column:
    return Column(result.task.name, metric.name, metric.higher_is_better, metric.unit, result.task.protocol)


def _printed_column(number: PublishedNumber) -> Column:
    unit = number.unit if number.fraction is None else "fraction"
    task = number.task or number.column
    return Column(task, number.metric, unit=unit, protocol=number.protocol, heading=number.column)


def _shown_metrics(result: Result) -> Iterable[Metric]:
    """The primary metric; every one that retrieval reports."""
    retrieval = result.task.protocol == "retrieval"
    return (metric for metric in result.metrics if retrieval or metric.name == result.primary_metric)


def _of_table(
    table: PublishedTable, results: Sequence[Result], numbers: Iterable[PublishedNumber], originals: Mapping[str, str]
) -> Leaderboard:
    columns = _Columns()
    for name in table.columns:
        number = next(number for number in table.numbers if number.column == name)
        if number.metric != PRINTED_MEAN:
            columns.add(_printed_column(number), number.label)
    tasks = {column.task for column in columns.all}
    own = [result for result in results if result.task.name in tasks]
    notes = [f"{table.notes.removesuffix('.')}."] if table.notes else []
    if results and not own:
        notes.append("No record is of this table's tasks.")
    about = f"{table.table}, {table.printed_in}: {table.setting}."
    return _board(Leaderboard(table.title, columns.all, [], about, notes), columns, own, numbers, originals)


def _board(
    board: Leaderboard,
    columns: _Columns,
    results: Sequence[Result],
    numbers: Iterable[PublishedNumber],
    originals: Mapping[str, str],
) -> Leaderboard:
    """The board with its rows; a published row that was reproduced stands behind the model that did."""
    rows: dict[str, Row] = {}
    for result in results:
        name = result.model.name
        row = rows.setdefault(name, Row(name, original=originals.get(name)))
        for column, cell in _cells(result, columns):
            if column in row.cells:
                raise clash(result)
            row.cells[column] = cell
    published: dict[str, Row] = {}
    for number in numbers:
        if (found := columns.get(_printed_column(number), number.label)) is None:
            continue
        label = number.label + PUBLISHED
        cells = published.setdefault(label, Row(label, published=True)).cells
        assert found not in cells, f"two published values of {label} for {found.task}"
        scaled = number.unit == "fraction"  # shown in per cent
        value = number.value if number.fraction is None else number.fraction
        cells[found] = Cell(value, decimals=number.decimals - (2 if scaled else 0))
    ordered: dict[str, Row] = {}
    for row in rows.values():
        ordered[row.model] = row
        if row.original is not None and row.original in published:
            ordered[row.original] = published[row.original]
    return replace(board, rows=list((ordered | published).values()), notes=[*board.notes, *_notes(results)])


def _cells(result: Result, columns: _Columns) -> Iterable[tuple[Column, Cell]]:
    if result.status == "error":
        for column in columns.all:
            if column.task == result.task.name:
                yield column, Cell(failed=result.error)
    for metric in result.metrics:
        if (found := columns.get(_column(result, metric), result.model.name)) is not None:
            yield found, Cell(metric.value, metric.ci95, metric.num_scored)


def _notes(results: Sequence[Result]) -> list[str]:
    """What keeps numbers from being compared: other data than the protocol's, or than another model's."""
    good = [result for result in results if result.status == "ok"]
    notes = []
    sizes = {(r.task.name, r.dataset.num_samples, r.dataset.expected_num_samples) for r in good}
    other = sorted((task, size, meant) for task, size, meant in sizes if size and meant and size != meant)
    if other:
        texts = [f"{task} {size:,} ({meant:,})" for task, size, meant in other]
        notes.append(f"Not the protocol's data, by number of samples (and the protocol's): {', '.join(texts)}.")
    for task in dict.fromkeys(result.task.name for result in good):
        models: dict[str, list[str]] = {}
        for result in good:
            if result.task.name == task:
                models.setdefault(result.dataset.fingerprint, []).append(result.model.name)
        unknown = [name for print_ in list(models) if print_.startswith("unknown:") for name in models.pop(print_)]
        if unknown and models:
            notes.append(f"The data of an imported record is not known: {task}, {', '.join(unknown)}.")
        if len(models) > 1:
            texts = [f"{', '.join(names)} on {fingerprint[:8]}" for fingerprint, names in models.items()]
            notes.append(f"Scored on different data, so that the numbers do not compare: {task}, {'; '.join(texts)}.")
    return notes
