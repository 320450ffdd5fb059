"""Scans kept on disk, so that a large split is hashed once and not at every run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from mlcd_eval.data.base import ShardScan
from mlcd_eval.fileio import atomic_write

_VERSION = 2  # of what a scan checks and hashes


def file_identity(path: Path) -> str:
    """A text that changes when the file is replaced or written to: path, size, and times of contents and inode."""
    status = path.stat()
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def memoised(cache: Path | None, identity: str, scan: Callable[[], ShardScan]) -> ShardScan:
    """`scan()`, or what it gave for this identity before; kept in `<cache>/scans/` unless cache is None."""
    if cache is None:
        return scan()
    name = hashlib.sha256(f"{_VERSION} {identity}".encode(errors="surrogateescape")).hexdigest()
    path = cache / "scans" / f"{name[:32]}.json"
    with contextlib.suppress(FileNotFoundError):
        checksum, _, text = path.read_bytes().partition(b" ")
        if checksum == b"%08x" % zlib.crc32(text):  # else it is damaged
            return ShardScan(**json.loads(text))
    result = scan()
    text = json.dumps(asdict(result)).encode()
    with atomic_write(path) as file:
        file.write(b"%08x %s" % (zlib.crc32(text), text))
    return result
