"""Scans kept on disk, so that a large split is hashed once and not at every run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mlcd_eval.data.base import ShardScan
from mlcd_eval.support import disk_memo as memo

_VERSION = 2  # of what a scan checks and hashes


def memoised(cache: Path | None, identity: str, scan: Callable[[], ShardScan]) -> ShardScan:
    """`scan()`, or what it gave for this identity before; kept in `<cache>/scans/` unless cache is None."""
    if cache is None:
        return scan()
    return memo.memoised(cache / "scans", f"{_VERSION} {identity}", ShardScan, scan)
