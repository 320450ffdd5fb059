"""Which column a published number has: that of the records that were measured in the same way, or one that names how it
was measured otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from mlcd_eval.records import Result
from mlcd_eval.tables.boards.leaderboard import Column
from mlcd_eval.tables.published import Dialect, PublishedNumber
from mlcd_eval.tables.published.comparable import differences
from mlcd_eval.tables.published.dialect import FIELDS


def printed_column(number: PublishedNumber, variant: str = "") -> Column:
    """The column of a number that was measured as the variant says."""
    return Column(
        task=number.task or number.column,
        metric=number.metric,
        higher_is_better=number.higher_is_better,
        unit=number.unit if number.fraction is None else "fraction",
        protocol=number.protocol,
        heading=number.column,
        variant=variant,
    )


def places(
    numbers: Iterable[PublishedNumber], columns: Sequence[Column], records: Mapping[Column, Result]
) -> dict[PublishedNumber, Column]:
    """The column of each number of these columns' tasks and metrics, of every number where there are no columns.

    records: one of each column that has any, since those of a column were measured alike.
    """
    ours: dict[tuple[str, str], list[Column]] = {}
    for column in columns:
        ours.setdefault((column.task, column.metric), []).append(column)
    wanted = [number for number in numbers if not ours or _key(number) in ours]
    alone = without_records(wanted)
    taken: set[tuple[str, object]] = set()
    known = {}
    for number in wanted:
        column = _beside(number, ours.get(_key(number), ()), records) or alone[number]
        if (number.label, column.key) in taken:  # the same row, measured otherwise in what no record states
            column = replace(column, variant=number.dialect.text)
        taken.add((number.label, column.key))
        known[number] = column
    return known


def _key(number: PublishedNumber) -> tuple[str, str]:
    column = printed_column(number)
    return column.task, column.metric


def _beside(number: PublishedNumber, alike: Sequence[Column], records: Mapping[Column, Result]) -> Column | None:
    """The column of a number next to records, None where no record is of its task and metric.

    A number whose source is a paper that the task reproduces is in the usual column of its task.
    """
    of_records = [column for column in alike if column in records]
    if not of_records or number.dialect.as_task is not None:
        return None
    same = [column for column in of_records if not differences(number, records[column], number.metric)]
    if same:
        return same[0]
    differing = differences(number, records[of_records[0]], number.metric)
    return replace(alike[0], variant=", ".join(each.short for each in differing))


def without_records(numbers: Iterable[PublishedNumber]) -> dict[PublishedNumber, Column]:
    """The columns of numbers alone: those of a task and metric that were measured in several ways have one for each,
    named by what differs."""
    known = list(numbers)
    dialects: dict[tuple[str, str], dict[Dialect, None]] = {}
    for number in known:
        column = printed_column(number)
        dialects.setdefault((column.task, column.metric), {}).setdefault(number.dialect)
    labels = {key: _labels(list(several)) for key, several in dialects.items()}
    columns = {}
    for number in known:
        column = printed_column(number)
        columns[number] = printed_column(number, labels[column.task, column.metric][number.dialect])
    return columns


def _labels(dialects: list[Dialect]) -> dict[Dialect, str]:
    """A name for each of several dialects, empty for one alone and for that of a task of this package."""
    differing = [name for name in FIELDS if len({getattr(dialect, name) for dialect in dialects}) > 1]

    def label(dialect: Dialect) -> str:
        if not differing or dialect.as_task is not None:
            return ""
        stated = [f"{name}={getattr(dialect, name)}" for name in differing if getattr(dialect, name) is not None]
        return ", ".join(stated) or "dialect not stated"

    return {dialect: label(dialect) for dialect in dialects}
