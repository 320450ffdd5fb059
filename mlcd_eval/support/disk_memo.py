"""What was worked out before, kept on disk under all that it depends on."""

from __future__ import annotations

import contextlib
import hashlib
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter

from mlcd_eval.support.fileio import atomic_write

T = TypeVar("T")


def file_identity(path: Path) -> str:
    """A text that changes when the file is replaced or written to: path, size, and times of contents and inode."""
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def memoised(folder: Path, identity: str, kind: type[T], make: Callable[[], T]) -> T:
    """`make()`, a dataclass of that kind, or what it gave for this identity before."""
    json = TypeAdapter(kind)
    path = folder / f"{hashlib.sha256(identity.encode(errors='surrogateescape')).hexdigest()[:32]}.json"
    with contextlib.suppress(FileNotFoundError):
        checksum, _, text = path.read_bytes().partition(b" ")
        if checksum == b"%08x" % zlib.crc32(text):  # else it is damaged
            return json.validate_json(text)
    made = make()
    text = json.dump_json(made)
    with atomic_write(path) as file:
        file.write(b"%08x %s" % (zlib.crc32(text), text))
    return made
