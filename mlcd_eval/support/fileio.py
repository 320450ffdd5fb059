"""Atomic writing: a file is complete or absent."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from mlcd_eval.errors import ConfigError

PIECE = 1 << 24  # characters encoded at a time


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
    temporary = path.parent / f".{path.name[:80]}.{uuid.uuid4().hex}.tmp"
    try:
        with naming(path), temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Atomically write a text, or pieces of one that are made while they are written, to `path` in UTF-8.

    What UTF-8 lacks, as in file names of old archives, is written as an escape such as \\udcff, which JSON reads back.
    """
    with atomic_write(path) as file:
        for piece in (text,) if isinstance(text, str) else text:
            for begin in range(0, len(piece), PIECE):
                file.write(piece[begin : begin + PIECE].encode("utf-8", "backslashreplace"))


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
