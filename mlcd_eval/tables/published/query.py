"""How to ask for published numbers, whatever their source."""

from __future__ import annotations

import fnmatch
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.tables.published.atlas import atlas_tables
from mlcd_eval.tables.published.number import PublishedNumber, PublishedRow, Table
from mlcd_eval.tables.published.papers import paper_tables

SHOWN = 8  # names in a message


@functools.cache
def tables() -> Mapping[str, Table]:
    """Every table by its name: the papers', then the atlas's (`SOURCE/TABLE`)."""
    return {**paper_tables(), **atlas_tables()}


def groups(source: str | None = None) -> list[str]:
    """The names of the tables, of one source or of all."""
    return [name for name, table in tables().items() if source in (None, table.source)]


def published_table(group: str) -> Table:
    """One table; raises ConfigError for an unknown name."""
    known = tables()
    if group not in known:
        raise ConfigError(
            f"no published table is called {group!r}, expected one of {', '.join(known)}{nearest(group, known)}"
        )
    return known[group]


def published_numbers(group: str | None = None) -> list[PublishedNumber]:
    """The numbers of one table, or of all; raises ConfigError for an unknown table."""
    if group is not None:
        return list(published_table(group).numbers())
    return [number for table in tables().values() for number in table.numbers()]


def select(
    model: str | None = None, task: str | None = None, among: Iterable[str] | None = None
) -> Iterator[PublishedNumber]:
    """The numbers of models whose names hold `model` and of tasks whose names are `task`; either may be a glob.

    among: the names of tables, None for all. Raises ConfigError for a model or a task that no table has, with the
    nearest names, and for a model without a value of the task.
    """
    chosen = [tables()[group] for group in (groups() if among is None else among)]
    row = None if model is None else _row_filter(model)
    place = None if task is None else functools.partial(_matches, pattern=task)
    numbers = (number for table in chosen for number in table.numbers(row, place))
    first = next(numbers, None)
    if first is None:
        raise ConfigError(_nothing(chosen, model, task, row, place))
    yield first
    yield from numbers


def rows_named(name: str, places: Callable[[str], bool] | None) -> list[PublishedNumber]:
    """The numbers of rows by name, as `--published NAME` gives it: a model or label, else a part of a label.

    `SOURCE:GLOB` means the rows of one source. places: which tasks to read, None for all. Raises ConfigError for an
    unknown name, with the nearest.
    """
    source, colon, pattern = name.partition(":")
    if colon and source in {table.source for table in tables().values()}:
        chosen = [table for table in tables().values() if table.source == source]
        row = _row_filter(pattern, whole=True)
    else:
        chosen, pattern, wanted = list(tables().values()), name, name.lower()
        exact = any(wanted == each.lower() for table in chosen for known in table.rows for each in known.names)
        row = _exactly(wanted) if exact else lambda known: wanted in known.label.lower()
    if not any(row(known) for table in chosen for known in table.rows):
        raise ConfigError(
            f"--published: got {name!r}, expected a model of `mlcd-eval ls published` or SOURCE:GLOB with SOURCE one "
            f"of {', '.join(sorted({table.source for table in tables().values()}))}{_nearest_row(pattern, chosen)}"
        )
    return [number for table in chosen for number in table.numbers(row, places)]


def _exactly(wanted: str) -> Callable[[PublishedRow], bool]:
    return lambda known: any(wanted == each.lower() for each in known.names)


def _row_filter(pattern: str, whole: bool = False) -> Callable[[PublishedRow], bool]:
    """True for a row that has a name which matches, in any case. whole: a pattern without `*` is a whole name."""
    wanted = pattern.lower()
    if not whole and not set(wanted) & set("*?["):
        return lambda row: any(wanted in name.lower() for name in row.names)
    return lambda row: any(fnmatch.fnmatchcase(name.lower(), wanted) for name in row.names)


def _matches(place: str, pattern: str) -> bool:
    return fnmatch.fnmatchcase(place.lower(), pattern.lower())


def _nothing(
    chosen: list[Table],
    model: str | None,
    task: str | None,
    row: Callable[[PublishedRow], bool] | None,
    place: Callable[[str], bool] | None,
) -> str:
    """What to say of a query without an answer."""
    known = [each for table in chosen for each in table.rows if row is None or row(each)]
    if not known:
        return f"no published row is of the model {model!r}{_nearest_row(model or '', chosen)}"
    places = {each for table in chosen for each in table.places}
    if place is not None and not any(map(place, places)):
        return f"no published number is of the task {task!r}{nearest(task or '', sorted(places))}"
    theirs = sorted({number.place for table in chosen for number in table.numbers(row)})
    more = f" and {len(theirs) - SHOWN} more" if len(theirs) > SHOWN else ""
    return (
        f"no published number of the model {model!r} is of the task {task!r}: it has {', '.join(theirs[:SHOWN])}{more}"
    )


def _nearest_row(pattern: str, chosen: list[Table]) -> str:
    """The nearest name of a row, else of a part of one, such as `EVA02`."""
    names = list(dict.fromkeys(name for table in chosen for row in table.rows for name in (row.model, *row.names)))
    parts = {part for name in names for part in name.replace("/", " ").replace("-", " ").split()}
    lower = {name.lower(): name for name in (*sorted(parts), *reversed(names))}
    text = nearest(pattern.lower(), lower)
    match = text.removeprefix(" (did you mean '").removesuffix("'?)")
    return text.replace(match, lower[match]) if text else ""
