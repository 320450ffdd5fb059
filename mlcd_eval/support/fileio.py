"""Atomic writing: a file is complete or absent."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from mlcd_eval.errors import ConfigError

PIECE = 1 << 24  # characters encoded at a time
TEMPORARY = ".tmp"
YOUNG = 2.0  # seconds in which a process that has opened a file locks it


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give the error of a full disk in the block, which names no file, the name of this one."""
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename = str(path)
        raise


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Yield a binary file that is renamed to `path` if the block succeeds and deleted if it raises.

    Missing folders are created. The contents reach the disk before the rename, so that a crash leaves either the old
    file or the new one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{_start(path)}{uuid.uuid4().hex}{TEMPORARY}"
    try:
        with naming(path), temporary.open("xb") as file:
            _locked(file)
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def clear_leftovers(path: Path) -> None:
    """Remove what killed writers of this file left beside it: temporary files that no process has locked."""
    for other in os.scandir(path.parent) if path.parent.is_dir() else ():
        if other.name.startswith(_start(path)) and other.name.endswith(TEMPORARY):
            with contextlib.suppress(OSError), open(other.path, "rb+") as file:  # noqa: PTH123 of no Path
                if time.time() - os.fstat(file.fileno()).st_mtime > YOUNG and _locked(file):
                    os.unlink(other.path)  # noqa: PTH108


def _start(path: Path) -> str:
    """How the names of a file's temporary ones begin."""
    return f".{path.name[:80]}."


def _locked(file: IO[bytes]) -> bool:
    """Lock an open file until it is closed, however its process ends; whether that could be done."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another has it, or the file system has no locks
        return False
    return True


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Atomically write a text, or pieces of one that are made while they are written, to `path` in UTF-8.

    What UTF-8 lacks, as in file names of old archives, is written as an escape such as \\udcff, which JSON reads back.
    """
    with atomic_write(path) as file:
        for piece in (text,) if isinstance(text, str) else text:
            for begin in range(0, len(piece), PIECE):
                file.write(piece[begin : begin + PIECE].encode("utf-8", "backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON to a file, as `atomic_write` does."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def check_writable(folder: Path) -> None:
    """Create the folder and try to write to it, before any work whose output goes there.

    Raises the OSError that a file in it would raise, and ConfigError where the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(f"folder {folder} cannot be created: {error.strerror} at {error.filename}") from error
    with naming(folder), tempfile.TemporaryFile(dir=folder):
        pass
