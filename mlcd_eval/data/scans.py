"""Scans kept on disk, so that a large split is hashed once and not at every run."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from mlcd_eval.data.base import ShardScan
from mlcd_eval.fileio import write_text

_VERSION = 1  # of what a scan checks and hashes


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
    with contextlib.suppress(FileNotFoundError, ValueError, TypeError):  # none yet, or a damaged one
        return ShardScan(**json.loads(path.read_text(encoding="utf-8")))
    result = scan()
    write_text(path, json.dumps(asdict(result)))
    return result
