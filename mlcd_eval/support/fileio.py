"""Writing that is either whole or not there."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from mlcd_eval.errors import ConfigError


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the name `path` when the block ends well, and leaves nothing when it does not.

    The folder is made where missing. Contents reach the disk before the rename: a crash leaves the old or the new.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:80]}.{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Atomically replace `path` by `text` in UTF-8."""
    with atomic_write(path) as file:
        file.write(text.encode("utf-8"))


def check_writable(folder: Path) -> None:
    """Make the folder, and raise the OSError that a first file in it would, before the work that leads to one; a
    ConfigError where a file, or nothing, is in its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
        raise ConfigError(f"{folder} cannot be made a folder: {error.strerror} at {error.filename}") from error
    with tempfile.TemporaryFile(dir=folder):
        pass
