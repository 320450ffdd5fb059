"""Tables of samples, read row by row: one pass finds where shards can start and checks that keys are unique.

A sample is a row, or several rows one after another with one key. The index of a table of N samples takes 8 bytes per
sample while it is made, and little afterwards.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from mlcd_eval.data.storage.rows import ROWS_PER_SHARD
from mlcd_eval.errors import DataError

Row = Mapping[str, Any]


class Cursor(Protocol):
    """The rows of a table from some place on."""

    def __iter__(self) -> Iterator[Row]:
        """The cursor itself."""

    def __next__(self) -> Row:
        """The next row; raises DataError for one that cannot be read."""

    def place(self) -> int | None:
        """From where a cursor would begin with the next row, None where none can begin there."""


class Table(Protocol):
    """A file of rows. columns: their names, in order."""

    path: Path
    columns: tuple[str, ...]

    def read(self, columns: list[str], place: int | None = None) -> Cursor:
        """The rows of some columns from a place on, from the first row by default."""


@dataclass
class Part:
    """Rows that are read together: `rows` of them, after `skip`, from a place. first: number of the first, from 0.
    samples: split -> how many samples of it they hold."""

    place: int | None
    skip: int
    first: int
    rows: int = 0
    samples: dict[str, int] = field(default_factory=dict)


class SampleName(NamedTuple):
    """What tells the sample of a row apart from others."""

    split: str
    key: str


Namer = Callable[[Row, int], SampleName]
"""A row and its number -> its sample."""


def index_of(table: Table, columns: list[str], name: Namer, *, joins_rows: bool) -> list[Part]:
    """The parts of a table, each of whole samples and, where the file allows, little more than ROWS_PER_SHARD rows.

    joins_rows: whether rows one after another may be of one sample. Raises DataError for two samples of one name, and
    what `name` raises.
    """
    parts = [Part(None, 0, 0)]
    start: tuple[int, int] | None = None  # the last place where a cursor can begin, and the number of its row
    hashes, last, number = array("q"), None, 0
    cursor = table.read(columns)
    while True:
        if parts[-1].rows >= ROWS_PER_SHARD and (place := cursor.place()) is not None:
            start = place, number
        row = next(cursor, None)
        if row is None:
            break
        sample = name(row, number)
        if not joins_rows or sample != last:
            if start is not None:
                parts.append(Part(start[0], number - start[1], number))
                start = None
            counts = parts[-1].samples
            counts[sample.split] = counts.get(sample.split, 0) + 1
            hashes.append(hash(sample))
            last = sample
        parts[-1].rows += 1
        number += 1
    _check_unique(table, columns, name, hashes, joins_rows)
    return parts


def rows_of(table: Table, columns: list[str], part: Part) -> Iterator[tuple[int, Row]]:
    """The rows of a part with their numbers."""
    rows = islice(table.read(columns, part.place), part.skip, part.skip + part.rows)
    yield from enumerate(rows, part.first)


def _check_unique(table: Table, columns: list[str], name: Namer, hashes: array[int], joins_rows: bool) -> None:
    """Read the table again for the row to name, only where two samples have one hash."""
    ordered = np.sort(np.frombuffer(hashes, dtype=np.int64))
    repeated = set(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
    if not repeated:
        return
    first: dict[SampleName, int] = {}
    last = None
    for number, row in enumerate(table.read(columns)):
        sample = name(row, number)
        if (not joins_rows or sample != last) and hash(sample) in repeated:
            if sample in first:
                expected = "the rows of one image one after another (sort the file)" if joins_rows else "it once"
                raise DataError(
                    f"{table.path} has {sample.key!r} in row {first[sample] + 1} and in row {number + 1}: expected "
                    f"{expected}"
                )
            first[sample] = number
        last = sample
