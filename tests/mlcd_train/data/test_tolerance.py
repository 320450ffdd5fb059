"""What is tolerated before and while training: a share of bad samples, and memory that is there."""

import pytest

from mlcd_eval.errors import ConfigError, DataError
from mlcd_train.data import memory
from mlcd_train.data.batches import Bad
from mlcd_train.data.memory import check_memory
from mlcd_train.data.tolerance import Tolerance


def test_each_bad_sample_counts_once_and_the_share_itself_is_tolerated():
    tolerance = Tolerance("d", 20, 0.15)
    small, broken = [Bad("too small", f"s{n}") for n in range(2)], [Bad("undecodable", f"u{n}") for n in range(2)]
    for samples in ([], small, small, broken[:1]):
        tolerance.add(samples)
    with pytest.raises(DataError) as caught:
        tolerance.add([*small, *broken])
    assert str(caught.value) == (
        "training data d: got 4 bad samples of 20 (too small: 2, undecodable: 2), expected at most a share of 0.15 "
        "(data.allow_bad), such as: s0; s1; u0"
    )


def test_nothing_is_tolerated_with_a_share_of_zero():
    Tolerance("d", 5, 0.0).add([])
    with pytest.raises(DataError, match="got 1 bad samples of 5"):
        Tolerance("d", 5, 0.0).add([Bad("too small", "a")])


def test_memory_is_checked_where_the_system_tells_it(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "MEMORY_FILE", tmp_path / "meminfo")
    check_memory(1 << 60, "x")  # not told
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:    3072 kB\nSwapFree: 1 kB\n")
    check_memory(3072 << 10, "x")
    with pytest.raises(ConfigError, match=r"^memory: got 3 MB available, expected 4 MB for rows$"):
        check_memory((3072 << 10) + 1, "rows")
