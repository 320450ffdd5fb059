"""What is to be explained: a record, and the numbers that are published for its task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.records import Result, read_files
from mlcd_eval.tables.explaining.printed import Printed, printed_number, printed_text
from mlcd_eval.tables.published.number import PRINTED_MEAN, PublishedNumber
from mlcd_eval.tables.published.query import rows_named
from mlcd_eval.tables.published.standing import SAME_QUESTION

MOST = 12
"""The most numbers of one row that are explained at a time."""
SHOWN = 8  # names in a message


class Target(NamedTuple):
    """A number to explain. metric: that it is stated to be, None for the record's own; number: None for --value."""

    printed: Printed
    metric: str | None
    number: PublishedNumber | None = None


def targets(
    run: Path, published: str | None, value: str | None, task: str | None, metric: str | None
) -> tuple[Path, Result, list[Target]]:
    """Return the record that is meant, its file, and the numbers to explain.

    published, value: a row by its name or a number, of which one is given. task: of several that fit. metric: None for
    the record's primary one. Raises ConfigError where nothing fits or what fits is not certain, and DataError for
    records that cannot be read.
    """
    records = _records(run, task)
    if published is None:
        assert value is not None, "one of both is given"
        printed = printed_text(value)
        file, record = _only(run, records, {record.task.name for _, record in records})
        _check_metric(record, metric)
        return file, record, [Target(printed, metric)]
    numbers = [number for number in rows_named(published, None) if number.fraction is not None]
    tasks = {record.task.name for _, record in records} & {number.place for number in numbers}
    if not tasks:
        theirs = sorted({number.place for number in numbers if number.metric != PRINTED_MEAN})
        mine = sorted(record.task.name for _, record in records)
        raise ConfigError(
            f"--published {published!r} has no number of {_some(mine)}, expected a record of one of its tasks: "
            f"{_some(theirs)}{nearest(mine[0], theirs)}"
        )
    file, record = _only(run, records, tasks)
    _check_metric(record, metric)
    return (
        file,
        record,
        _of_record(published, [each for each in numbers if each.place == record.task.name], record, metric),
    )


def _records(run: Path, task: str | None) -> list[tuple[Path, Result]]:
    """The records of one model that have a value."""
    records = [
        (file, record) for file, record in read_files([run]) if record.primary and record.primary.value is not None
    ]
    names = {record.task.name for _, record in records}
    if task is not None and task not in names:
        raise ConfigError(
            f"--task: got {task!r}, expected a task of {run} with a value: {_some(sorted(names))}{nearest(task, names)}"
        )
    records = [(file, record) for file, record in records if task in (None, record.task.name)]
    models = sorted({record.model.name for _, record in records})
    if len(models) != 1:
        raise ConfigError(f"{run} holds values of {len(models)} models ({_some(models)}), expected the folder of one")
    return records


def _only(run: Path, records: Sequence[tuple[Path, Result]], tasks: Iterable[str]) -> tuple[Path, Result]:
    """The only record of some tasks."""
    fitting = [(file, record) for file, record in records if record.task.name in tasks]
    if len(fitting) > 1:
        names = sorted(record.task.name for _, record in fitting)
        raise ConfigError(f"{run} has {len(names)} records that fit, expected --task with one of {_some(names)}")
    return fitting[0]


def _check_metric(record: Result, metric: str | None) -> None:
    known = [each.name for each in record.metrics if each.value is not None]
    if metric is not None and metric not in known:
        raise ConfigError(
            f"--metric: got {metric!r}, expected one that the record of {record.task.name} has: {', '.join(known)}"
            f"{nearest(metric, known)}"
        )


def _of_record(row: str, numbers: Sequence[PublishedNumber], record: Result, metric: str | None) -> list[Target]:
    """The numbers of a row that answer a record's question."""
    assert record.primary_metric is not None, "it has a value"
    wanted = {metric} if metric else {record.primary_metric}
    if not metric and wanted <= SAME_QUESTION:
        wanted = SAME_QUESTION
    fitting = [number for number in numbers if number.metric in wanted]
    if not fitting:
        theirs = sorted({number.metric for number in numbers})
        raise ConfigError(
            f"--published {row!r} has no {' or '.join(sorted(wanted))} of {record.task.name}, expected --metric with "
            f"one of {', '.join(theirs)}"
        )
    models = {number.identity or number.label: number.label for number in fitting}
    if len(models) > 1:
        raise ConfigError(
            f"--published {row!r} names {len(models)} models with numbers of {record.task.name}, expected one of "
            f"{_some(sorted(models.values()), '; ')}"
        )
    if len(fitting) > MOST:
        tables = sorted({number.group for number in fitting})
        raise ConfigError(
            f"--published {row!r} has {len(fitting)} numbers of {record.task.name} in {', '.join(tables)}, expected at "
            f"most {MOST}: SOURCE:NAME takes those of one source, --value one of them"
        )
    return [Target(printed_number(number), number.metric, number) for number in fitting]


def _some(names: Sequence[str], separator: str = ", ") -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return separator.join(names[:SHOWN]) + more or "none"
