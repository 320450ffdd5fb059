"""Leaderboards from records and published numbers: which columns there are, and what fills their cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mlcd_eval.errors import DataError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.records import Result
from mlcd_eval.tables.boards.leaderboard import PUBLISHED, Cell, Column, Leaderboard, Row
from mlcd_eval.tables.boards.printed import places, without_records
from mlcd_eval.tables.identity import identity
from mlcd_eval.tables.lookup import protocol_named
from mlcd_eval.tables.published import PRINTED_MEAN, PublishedNumber, Table
from mlcd_eval.tables.text import shown, shown_difference
from mlcd_eval.tables.variants import Variants, variants


def leaderboards(
    results: Sequence[Result], published: Sequence[PublishedNumber] = (), originals: Mapping[str, str] | None = None
) -> list[Leaderboard]:
    """One per protocol, in the order in which the records bring them; without records, of the published numbers.

    originals: model -> name of the published row that it reproduces. Raises DataError where two records would share a
    cell or two units a column.
    """
    if results:
        protocols = dict.fromkeys(result.task.protocol for result in results)
    else:
        protocols = dict.fromkeys(number.protocol for number in published)
    boards = []
    for protocol in protocols:
        members = [result for result in results if result.task.protocol == protocol]
        columns = _Columns(members)
        numbers = [number for number in published if results or number.protocol == protocol]
        boards.append(_board(Leaderboard(protocol, [], []), columns, members, numbers, originals or {}))
    return boards


def paper_board(
    table: Table,
    printed: Sequence[PublishedNumber],
    results: Sequence[Result],
    numbers: Iterable[PublishedNumber],
    originals: Mapping[str, str],
) -> Leaderboard:
    """A paper's table, columns in its order, with the records of its tasks; raises DataError as `leaderboards`.
    printed: its own numbers, which `numbers` hold too."""
    first = {number.column: number for number in printed if number.metric != PRINTED_MEAN}
    place = without_records(first[name] for name in table.columns if name in first)
    tasks = {column.task for column in place.values()}
    members = [result for result in results if result.task.name in tasks]
    notes = [f"{table.notes.removesuffix('.')}."] if table.notes else []
    if results and not members:
        notes.append("No record is of this table's tasks.")
    about = f"{table.table}, {table.printed_in}: {table.setting}."
    board = Leaderboard(table.title, [], [], about, notes)
    return columns_board(board, list(place.values()), members, numbers, originals)


def columns_board(
    board: Leaderboard,
    columns: Sequence[Column],
    results: Sequence[Result],
    numbers: Iterable[PublishedNumber],
    originals: Mapping[str, str],
) -> Leaderboard:
    """The board with its rows, of these columns and their variants; raises DataError as `leaderboards`."""
    return _board(board, _Columns(results, columns), results, numbers, originals)


class _Columns:
    """The columns of records by task, metric and variant; one column holds one unit.

    printed: of a paper's table or a suite, None for columns of the records' own. Records then add only variants of
    these.
    """

    def __init__(self, results: Sequence[Result], printed: Sequence[Column] | None = None) -> None:
        self._variants: Variants = variants(result for result in results if result.status == "ok")
        self._first: dict[tuple[str, str, str], tuple[Column, str]] = {}
        self._tasks: set[str] = set()
        for column in printed or ():
            self.add(column, "the paper")
        named = {(column.task, column.metric): column for column in reversed(printed or ())}
        self._printed = None if printed is None else named
        for result in sorted(results, key=lambda result: result.status == "error"):
            self._add_of(result)

    @property
    def all(self) -> list[Column]:
        """In order of their first appearance, the variants of a column behind it."""
        place: dict[tuple[str, str], int] = {}
        for column, _ in self._first.values():
            place.setdefault((column.task, column.metric), len(place))
        columns = [column for column, _ in self._first.values()]
        return sorted(columns, key=lambda column: (place[column.task, column.metric], column.variant != ""))

    def get(self, column: Column, model: str) -> Column | None:
        """The column of the same key; raises DataError where its numbers are in another unit or direction."""
        if column.key not in self._first:
            return None
        first, other = self._first[column.key]
        if (first.unit, first.higher_is_better) != (column.unit, column.higher_is_better):
            raise DataError(
                f"{column.task} {column.metric} is in {_kind(first)} for {other} and in {_kind(column)} for {model}: "
                f"a column holds one unit"
            )
        return first

    def add(self, column: Column, model: str) -> None:
        """Keep the column unless there is one of its key."""
        if self.get(column, model) is None:
            self._first[column.key] = column, model
            self._tasks.add(column.task)

    def _add_of(self, result: Result) -> None:
        """The columns of what a leaderboard shows of a record; one column for a task that failed for every model."""
        task = result.task
        if result.status == "error":
            if task.name not in self._tasks:
                self.add(Column(task.name, "failed", protocol=task.protocol), result.model.name)
            return
        names = [metric.name for metric in result.metrics]
        shown = protocol_named(task.protocol).shown_metrics(names, result.primary_metric)
        for column, metric in self._of(result):
            if (metric.name in shown) if self._printed is None else ((task.name, metric.name) in self._printed):
                self.add(column, result.model.name)

    def cells(self, result: Result) -> Iterable[tuple[Column, Cell]]:
        """The values of a successful record and their columns."""
        for wanted, metric in self._of(result):
            if (column := self.get(wanted, result.model.name)) is not None:
                yield column, Cell(metric.value, metric.ci95, metric.num_scored, source=result)

    def identity(self, result: Result) -> str:
        """What records of the same columns share."""
        return self._variants.identity(result)

    def _of(self, result: Result) -> Iterable[tuple[Column, Metric]]:
        """A column for each metric of a successful record."""
        task, variant = result.task, self._variants.label(result)
        for metric in result.metrics:
            printed = (self._printed or {}).get((task.name, metric.name))
            heading = printed.heading if printed else ""
            about = metric.name, metric.higher_is_better, metric.unit, task.protocol
            yield Column(task.name, *about, heading=heading, variant=variant), metric


def _kind(column: Column) -> str:
    return f"{column.unit} ({'higher' if column.higher_is_better else 'lower'} is better)"


def _board(
    board: Leaderboard,
    columns: _Columns,
    results: Sequence[Result],
    numbers: Iterable[PublishedNumber],
    originals: Mapping[str, str],
) -> Leaderboard:
    """The board with its rows; a published row that a model reproduces follows this model."""
    rows = {name: Row(name, original=originals.get(name)) for name in dict.fromkeys(r.model.name for r in results)}
    good = [result for result in results if result.status == "ok"]
    for result in good:
        for column, cell in columns.cells(result):
            if column in rows[result.model.name].cells:
                raise clash(result)
            rows[result.model.name].cells[column] = cell
    _mark_failed(rows, [result for result in results if result.status == "error"], good, columns)
    published = _published_rows(columns, list(rows.values()), numbers)
    ordered: dict[str, Row] = {}
    for row in rows.values():
        ordered[row.model] = row
        if row.original is not None and row.original in published:
            ordered[row.original] = published[row.original]
    every = list((ordered | published).values())
    filled = {column for row in every for column in row.cells}
    shown = [column for column in columns.all if column in filled]
    return replace(board, columns=shown, rows=every, notes=[*board.notes, *_notes(good)])


def _published_rows(columns: _Columns, rows: Iterable[Row], numbers: Iterable[PublishedNumber]) -> dict[str, Row]:
    """The rows of published numbers of the columns' tasks, by their names; adds the columns that they need."""
    sources = {column: cell.source for row in rows for column, cell in row.cells.items()}
    records = {
        column: source for column, source in sources.items() if isinstance(source, Result) and source.status == "ok"
    }
    known = places([number for number in numbers if number.metric != PRINTED_MEAN], columns.all, records)
    published: dict[str, Row] = {}
    for number, place in known.items():
        label = number.label + PUBLISHED
        cells = published.setdefault(label, Row(label, published=True)).cells
        columns.add(place, number.label)
        printed = columns.get(place, number.label)
        assert printed is not None and printed not in cells, f"two published values of {label} for {place.task}"
        scaled = number.unit == "fraction"  # shown in per cent
        value = number.value if number.fraction is None else number.fraction
        cells[printed] = Cell(value, decimals=number.decimals - (2 if scaled else 0), source=number)
    return published


def clash(result: Result) -> DataError:
    """What to raise where a second record would take a filled cell."""
    return DataError(
        f"two records of {result.model.name} for {result.task.name} were measured in the same way and differ in "
        f"seed, precision, preprocessing or weights: give `mlcd-eval table` one of them"
    )


def _mark_failed(rows: Mapping[str, Row], failed: Sequence[Result], good: Sequence[Result], columns: _Columns) -> None:
    """Mark the columns of each failed record: those of its identity, else all of its task that its model leaves
    empty."""
    tasks = {result.task.name for result in failed}
    of_task: dict[str, list[Column]] = {}
    for column in columns.all:
        of_task.setdefault(column.task, []).append(column)
    meant: dict[str, set[Column]] = {}
    for result in good:
        if result.task.name in tasks:
            meant.setdefault(columns.identity(result), set()).update(column for column, _ in columns.cells(result))
    for result in failed:
        wanted = meant.get(identity(result), set())
        for column in of_task.get(result.task.name, ()):
            if column in wanted or not wanted:
                rows[result.model.name].cells.setdefault(column, Cell(failed=result.error, source=result))


def _notes(results: Sequence[Result]) -> list[str]:
    """Which data is not the protocol's, by its size, what compressed embeddings cost, and what sees no image scores."""
    sizes = {(r.task.name, r.dataset.num_samples, r.dataset.expected_num_samples) for r in results}
    other = sorted((task, size, meant) for task, size, meant in sizes if size and meant and size != meant)
    texts = [f"{task} {size:,} ({meant:,})" for task, size, meant in other]
    notes = (
        [f"Not the protocol's data, by number of samples (and the protocol's): {', '.join(texts)}."] if texts else []
    )
    losses = [_loss(result) for result in results if "against_full_precision" in result.details]
    notes += [f"Compressed embeddings, against full precision in points: {'; '.join(losses)}."] if losses else []
    blind = sorted({line for result in results if (line := _without_images(result))})
    return notes + ([f"Without the images: {'; '.join(blind)}."] if blind else [])


def _without_images(result: Result) -> str:
    """`winoground group_accuracy: length 0.00, ngram 0.00`; empty where the record has no such baselines."""
    metric, baselines = result.primary_metric, result.details.get("baselines")
    of_metrics = baselines.items() if isinstance(baselines, dict) else ()
    found = [(name, of[metric]) for name, of in of_metrics if isinstance(of, dict) and metric in of]
    values = ", ".join(f"{name} {shown(value)}" for name, value in found if isinstance(value, float))
    return f"{result.name} {metric}: {values}" if values else ""


def _loss(result: Result) -> str:
    """`vit knn/pets embedding=int8: -0.10 [-0.4, 0.2]`."""
    loss = result.details["against_full_precision"]
    low, high = (shown(end, decimals=1) for end in loss["ci95"])
    named = f"{result.model.name} {result.task.name} embedding={result.task.settings.get('embedding')}"
    return f"{named}: {shown_difference(loss['difference'])} [{low}, {high}]"
