"""Record files, read by several processes: parsing and checking 100,000 takes a core a quarter of a minute."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from mlcd_eval.records.layout import Layout
from mlcd_eval.records.parts import FIELDS, SHARED, Parts
from mlcd_eval.records.result import Result

FEWEST = 10_000
"""Files below which one process is quick enough."""
MOST = 8
"""Processes: more than these wait for the one that gathers what they read."""
LARGEST = 1 << 20
"""Bytes of a record that is read in the layout of `run`; what is larger is no usual one."""
PLACES = [FIELDS[Result].index(field) for field in SHARED]

Line = tuple[bytes, bytes]
"""Of a record: the size and times of its file, and its row as JSON."""


def stamp(status: os.stat_result) -> bytes:
    """What changes with a file."""
    return b"%d %d %d" % (status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def row_of(layout: Layout, path: Path, size: int) -> list[Any] | None:
    """The row of a record in the layout of `run`, None for any other file."""
    if size <= LARGEST:
        with contextlib.suppress(OSError, UnicodeDecodeError):
            return layout.row(path.read_bytes().decode())
    return None


class Ahead:
    """Files that were read before they are asked for. parts: where the values that their records share are put."""

    def __init__(self, files: Sequence[Path], parts: Parts) -> None:
        self._parts = parts
        self._lines: dict[Path, tuple[list[str], Line]] = {}
        processes = min(_cores(), MOST)
        if len(files) < FEWEST or processes < 2:
            return
        shares = [files[start::processes] for start in range(processes)]  # the same tasks of every model, mostly
        context = multiprocessing.get_context("fork")
        with (
            contextlib.suppress(BrokenProcessPool),  # what a killed process would have read is read when asked for
            ProcessPoolExecutor(processes, context) as pool,
        ):
            for share, (texts, lines) in zip(shares, pool.map(_read, shares), strict=True):
                self._lines |= {file: (texts, line) for file, line in zip(share, lines, strict=True) if line}

    def row(self, file: Path, of_file: bytes) -> list[Any] | None:
        """The row of a file, once, if it was read and still has this stamp."""
        texts, line = self._lines.pop(file, ([], (b"", b"")))
        if line[0] != of_file:
            return None
        row: list[Any] = json.loads(line[1])
        for place in PLACES:
            row[place] = self._parts.number(texts[row[place]])
        return row


def _cores() -> int:
    """The cores that this process may use; 1 where it cannot be copied."""
    if "fork" not in multiprocessing.get_all_start_methods() or not hasattr(os, "sched_getaffinity"):
        return 1
    return len(os.sched_getaffinity(0))


def _read(files: Sequence[Path]) -> tuple[list[str], list[Line | None]]:
    """The texts of shared values, and the line of each file, None where it is not in the layout of `run`."""
    parts = Parts([])
    layout = Layout(parts)
    return parts.texts, [_line(layout, file) for file in files]


def _line(layout: Layout, file: Path) -> Line | None:
    try:
        status = file.stat()  # before it is read: a change in between shows
    except OSError:
        return None
    row = row_of(layout, file, status.st_size)
    return None if row is None else (stamp(status), json.dumps(row).encode())
