"""Scans kept on disk."""

import pytest

from mlcd_eval.data.base import ShardScan
from mlcd_eval.data.scans import memoised


def test_a_scan_is_made_once_for_an_identity(tmp_path):
    first, other = ShardScan("a" * 64, 5), ShardScan("b" * 64, None)
    assert memoised(tmp_path, "file 1", lambda: first) == first
    assert memoised(tmp_path, "file 1", lambda: pytest.fail("is kept")) == first
    assert memoised(tmp_path, "file 2", lambda: other) == memoised(tmp_path, "file 2", lambda: None) == other
    assert memoised(None, "file 1", lambda: other) == other


def test_a_damaged_scan_is_made_again(tmp_path):
    made = ShardScan("a" * 64, 5)
    memoised(tmp_path, "file", lambda: made)
    [path] = (tmp_path / "scans").iterdir()
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        assert memoised(tmp_path, "file", lambda: made) == made
    assert path.read_bytes() == whole
