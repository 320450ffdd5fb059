"""The records of a large folder, read again quickly: those whose files have not changed come from an index.

The index is a file in the user's own cache, never in the folder of the records, so that nobody hands it over with them.
It is only a copy: a record is taken from it where the path, size and times of its file are those that were read. A
missing, damaged or unwritable index costs time alone.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from mlcd_eval.metrics.base import Metric
from mlcd_eval.records.efficiency import Efficiency
from mlcd_eval.records.result import (
    DatasetRecord,
    ModelRecord,
    OutcomesRecord,
    RequestRecord,
    Result,
    TaskRecord,
    Timing,
)
from mlcd_eval.request import default_cache
from mlcd_eval.support.fileio import atomic_write

FEWEST = 1_000
"""Records of a folder below which reading the files themselves is quick enough."""
SETTLED_NS = 2_000_000_000
"""Nanoseconds. A file that was written less than this before it was read may change once more without a new time."""
SHARED: dict[str, type[BaseModel] | None] = {
    "task": TaskRecord,
    "dataset": DatasetRecord,
    "model": ModelRecord,
    "environment": None,
    "details": None,
    "efficiency": Efficiency,
}
"""Fields of a record that many records have alike, and their classes: the index, and the memory of a process that reads
it, hold each value once."""
SINGLE: dict[str, type[BaseModel]] = {"timing": Timing, "request": RequestRecord, "outcomes": OutcomesRecord}
"""Fields that have a class and differ from record to record."""
KINDS: tuple[type[BaseModel], ...] = (Result, Metric, *SINGLE.values())
FIELDS = {kind: tuple(kind.model_fields) for kind in KINDS}
FIELDS_SET = {kind: set(fields) for kind, fields in FIELDS.items()}
NEITHER = {"__pydantic_extra__": None, "__pydantic_private__": None}

Read = Callable[[Path], Result]
Line = tuple[bytes, bytes]
"""Of a record, as JSON: the size and times of its file, and the values of its fields."""
M = TypeVar("M", bound=BaseModel)


@contextlib.contextmanager
def indexed(folder: Path, num_files: int, read: Read) -> Iterator[Read]:
    """Yield a function that returns the record of a file in the folder, and calls `read` for what has changed.

    num_files: how many will be read; for FEWEST or more there is an index, which is written when the block succeeds.
    """
    if num_files < FEWEST:
        yield read
        return
    index = _Index(folder, read)
    with _no_collection():
        yield index.read
    index.save()


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Do without the search for cycles of garbage, now and later: records have none, and it takes as long as reading
    them."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what was read is left out of later searches, and still freed with its last reference
        gc.enable()


class _Index:
    """The index of one folder."""

    def __init__(self, folder: Path, read: Read) -> None:
        self._read, self._prefix = read, f"{folder}{os.sep}"
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
        self._file = default_cache() / "records" / f"{name}.index"
        parts, self._known = _loaded(self._file)
        self._parts = _Parts(parts)
        self._lines: dict[bytes, Line] = {}

    def read(self, path: Path) -> Result:
        """Return the record of a file."""
        status, now = path.stat(), time.time_ns()
        stamp = b"%d %d %d" % (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        name = json.dumps(str(path).removeprefix(self._prefix)).encode()
        line = self._known.get(name)
        if line is not None and line[0] == stamp:
            self._lines[name] = line
            return self._parts.result(json.loads(line[1]))
        row = self._parts.row(self._read(path))
        if max(status.st_mtime_ns, status.st_ctime_ns) < now - SETTLED_NS:
            self._lines[name] = stamp, json.dumps(row).encode()
        return self._parts.result(row)

    def save(self) -> None:
        """Write the index, unless nothing is new. Where the cache cannot be written to, there is none."""
        if self._lines == self._known:
            return
        with contextlib.suppress(OSError), atomic_write(self._file) as file:
            checksum = 0
            records = (b"\t".join((name, *line)) for name, line in self._lines.items())
            for line in (_header(), b"%d" % len(self._parts.texts), *self._parts.used(), *records):
                checksum = zlib.crc32(line, checksum)
                file.write(line + b"\n")
            file.write(b"%08x" % checksum)


def _header() -> bytes:
    """The form of the index: another version of the package may have other fields."""
    schema = json.dumps([Result.model_json_schema(), sorted(SHARED), sorted(SINGLE)], sort_keys=True)
    return hashlib.sha256(schema.encode()).hexdigest().encode()


def _loaded(file: Path) -> tuple[list[str], dict[bytes, Line]]:
    """The shared values and the lines of an index, nothing where it is missing, damaged or of another form."""
    try:
        with file.open("rb") as lines:
            texts: list[str] = []
            records: dict[bytes, Line] = {}
            if next(lines, b"") != _header() + b"\n":
                return [], {}
            checksum = zlib.crc32(_header())
            for line in lines:
                if not line.endswith(b"\n"):
                    return (texts[1:], records) if line == b"%08x" % checksum else ([], {})
                checksum = zlib.crc32(line[:-1], checksum)
                if not texts or len(texts) <= int(texts[0]):
                    texts.append(line[:-1].decode())
                else:
                    name, stamp, row = line[:-1].split(b"\t")
                    records[name] = stamp, row
    except (OSError, ValueError):
        pass
    return [], {}


class _Parts:
    """The values that records share. texts: as JSON, by their numbers in rows."""

    def __init__(self, texts: Iterable[str]) -> None:
        self.texts = list(texts)
        self._numbers = {text: number for number, text in enumerate(self.texts)}
        self._values: dict[tuple[str, int], Any] = {}

    def row(self, result: Result) -> list[Any]:
        """Return the values of a record's fields, with numbers for those that are shared."""
        values = {field: getattr(result, field) for field in FIELDS[Result]}
        for field, kind in SHARED.items():
            text = json.dumps(values[field].model_dump(mode="json") if kind and values[field] else values[field])
            if text not in self._numbers:
                self._numbers[text] = len(self.texts)
                self.texts.append(text)
            values[field] = self._numbers[text]
        values["metrics"] = [list(_fields(metric).values()) for metric in result.metrics]
        for field in SINGLE:
            values[field] = values[field] and list(_fields(values[field]).values())
        return list(values.values())

    def result(self, row: list[Any]) -> Result:
        """Return the record of a row. It was checked when its file was read."""
        values = dict(zip(FIELDS[Result], row, strict=True))
        for field in SHARED:
            values[field] = self._value(field, values[field])
        values["metrics"] = tuple(map(_metric, values["metrics"]))
        for field, kind in SINGLE.items():
            values[field] = values[field] and _made(kind, values[field])
        return _made(Result, list(values.values()))

    def used(self) -> Iterator[bytes]:
        """Yield the text of each value that a record had, and nothing for others, whose numbers stay."""
        numbers = {number for _, number in self._values}
        yield from (text.encode() if number in numbers else b"" for number, text in enumerate(self.texts))

    def _value(self, field: str, number: int) -> Any:
        if (field, number) not in self._values:
            kind, value = SHARED[field], json.loads(self.texts[number])
            self._values[field, number] = kind.model_validate(value) if kind and value is not None else value
        return self._values[field, number]


def _fields(part: BaseModel) -> dict[str, Any]:
    return {field: getattr(part, field) for field in type(part).model_fields}


def _metric(row: list[Any]) -> Metric:
    name, value, unit, *others, ci95 = row
    return _made(Metric, [sys.intern(name), value, sys.intern(unit), *others, ci95 and tuple(ci95)])


def _made(kind: type[M], values: list[Any]) -> M:
    """The instance of a class with these values of its fields, as unpickling makes one: quickly, and without a set of
    names of its own."""
    made = kind.__new__(kind)
    fields = dict(zip(FIELDS[kind], values, strict=True))
    made.__setstate__({"__dict__": fields, "__pydantic_fields_set__": FIELDS_SET[kind], **NEITHER})
    return made
