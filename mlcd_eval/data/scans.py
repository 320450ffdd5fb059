"""Scans kept on disk, so that a large split is hashed once and not in every run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mlcd_eval.data.base import ShardScan
from mlcd_eval.support.disk_memo import memoised

_VERSION = 3  # of what a scan checks and hashes


def kept_scan(cache: Path | None, identity: str, scan: Callable[[], ShardScan]) -> ShardScan:
    """The result of `scan()`, or its earlier one for this identity; kept in `<cache>/scans/` unless cache is None."""
    if cache is None:
        return scan()
    return memoised(cache / "scans", f"{_VERSION} {identity}", ShardScan, scan)
