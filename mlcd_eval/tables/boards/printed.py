"""Which column a published number has: that of the records that were measured in the same way, or one that names how it
was measured otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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


def beside_records(number: PublishedNumber, columns: Iterable[Column], records: Mapping[Column, Result]) -> Column:
    """The column of a number next to records; records: one of each column, since those of a column are alike.

    A number whose source is a paper that the task reproduces is in the usual column of its task.
    """
    column = printed_column(number)
    if number.dialect.as_task is not None:
        return column
    alike = [other for other in columns if (other.task, other.metric) == (column.task, column.metric)]
    for other in alike:
        if other in records and not differences(number, records[other], number.metric):
            return other
    first = next((records[other] for other in alike if other in records), None)
    if first is None:
        return column
    variant = ", ".join(each.short for each in differences(number, first, number.metric))
    return replace(alike[0], variant=variant)


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
