"""Scans kept on disk."""

import pytest

from mlcd_eval.data.base import ShardScan
from mlcd_eval.data.scans import kept_scan


def test_a_scan_is_made_once_for_an_identity(tmp_path):
    first, other = ShardScan("a" * 64, 5), ShardScan("b" * 64, None)
    assert kept_scan(tmp_path, "file 1", lambda: first) == first
    assert kept_scan(tmp_path, "file 1", lambda: pytest.fail("is kept")) == first
    assert kept_scan(tmp_path, "file 2", lambda: other) == kept_scan(tmp_path, "file 2", lambda: None) == other
    assert kept_scan(None, "file 1", lambda: other) == other


def test_a_damaged_scan_is_made_again(tmp_path):
    scan = ShardScan("a" * 64, 5)
    kept_scan(tmp_path, "file", lambda: scan)
    [path] = (tmp_path / "scans").iterdir()
    contents = path.read_bytes()
    for bit in range(8 * len(contents)):
        damaged = bytearray(contents)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert kept_scan(tmp_path, "file", lambda: scan) == scan
    assert path.read_bytes() == contents
