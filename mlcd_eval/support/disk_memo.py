"""Results of earlier calls, kept on disk under the hash of everything that they depend on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import stat
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from mlcd_eval.errors import DataError
from mlcd_eval.support.fileio import atomic_write

T = TypeVar("T")


def file_identity(path: Path) -> str:
    """Return a text that changes when the file is replaced or written to: path, size, mtime and ctime.

    Raises OSError or ValueError where there can be no such file, and DataError for a device, a pipe or a folder.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is no regular file, expected one")
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def files_identity(version: str, rows: Iterable[tuple[Sequence[Path | bytes], Sequence[Any]]]) -> str | None:
    """Return a text that changes when a file of a row, what else a row holds, or the version does; None where a row is
    not in files, or one of its files cannot be there, which reading says."""
    digest = hashlib.sha256(version.encode())
    for files, facts in rows:
        if any(isinstance(file, bytes) for file in files):
            return None
        try:
            identities = [file_identity(file) for file in files if isinstance(file, Path)]
        except (OSError, ValueError):
            return None
        digest.update(json.dumps([*identities, *facts]).encode())
    return digest.hexdigest()


def memoised(folder: Path, identity: str, kind: type[T], make: Callable[[], T]) -> T:
    """Return `make()`, a dataclass of type `kind`, or the stored result of an earlier call with this identity."""
    stored = recalled(folder, identity, kind)
    if stored is not None:
        return stored
    value = make()
    text = TypeAdapter(kind).dump_json(value)
    with atomic_write(_path(folder, identity)) as file:
        file.write(b"%08x %s" % (zlib.crc32(text), text))
    return value


def recalled(folder: Path, identity: str, kind: type[T]) -> T | None:
    """Return the stored result of an earlier call of `memoised`, None without one."""
    with contextlib.suppress(FileNotFoundError):
        checksum, _, text = _path(folder, identity).read_bytes().partition(b" ")
        if checksum == b"%08x" % zlib.crc32(text):  # otherwise the file is damaged
            return TypeAdapter(kind).validate_json(text)
    return None


def _path(folder: Path, identity: str) -> Path:
    return folder / f"{hashlib.sha256(identity.encode(errors='surrogateescape')).hexdigest()[:32]}.json"
