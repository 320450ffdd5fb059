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
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mlcd_eval.records.ahead import Ahead, Line, row_of, stamp
from mlcd_eval.records.layout import Layout
from mlcd_eval.records.parts import SHARED, SINGLE, Parts
from mlcd_eval.records.result import Result
from mlcd_eval.request import default_cache
from mlcd_eval.support.fileio import atomic_write

FEWEST = 1_000
"""Records of a folder below which reading the files themselves is quick enough."""
SETTLED_NS = 2_000_000_000
"""Nanoseconds. A file that was written less than this before it was read may change once more without a new time."""

Read = Callable[[Path], Result]


@contextlib.contextmanager
def indexed(folder: Path, files: Sequence[Path], read: Read) -> Iterator[Read]:
    """Yield a function that returns the record of a file in the folder, and calls `read` for what has changed and is
    not as `run` writes it.

    files: those that will be read; for FEWEST or more there is an index, which is written when the block succeeds.
    """
    if len(files) < FEWEST:
        yield read
        return
    with _no_collection():
        index = _Index(folder, files, read)
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

    def __init__(self, folder: Path, files: Sequence[Path], read: Read) -> None:
        self._read, self._prefix = read, f"{folder}{os.sep}"
        name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]
        self._file = default_cache() / "records" / f"{name}.index"
        parts, self._known = _loaded(self._file)
        self._parts = Parts(parts)
        self._layout = Layout(self._parts)
        self._lines: dict[bytes, Line] = {}
        self._ahead = Ahead([file for file in files if self._name(file) not in self._known], self._parts)

    def read(self, path: Path) -> Result:
        """Return the record of a file."""
        status, now = path.stat(), time.time_ns()
        name, of_file = self._name(path), stamp(status)
        line = self._known.get(name)
        if line is not None and line[0] == of_file:
            self._lines[name] = line
            return self._parts.result(json.loads(line[1]))
        row = self._ahead.row(path, of_file) or self._row(path, status.st_size)
        if max(status.st_mtime_ns, status.st_ctime_ns) < now - SETTLED_NS:
            self._lines[name] = of_file, json.dumps(row).encode()
        return self._parts.result(row)

    def _name(self, path: Path) -> bytes:
        return json.dumps(str(path).removeprefix(self._prefix)).encode()

    def _row(self, path: Path, size: int) -> list[Any]:
        """Read a file."""
        return row_of(self._layout, path, size) or self._parts.row(self._read(path))

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
