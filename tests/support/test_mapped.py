"""Files that are mapped: read part by part, they do not stay in the process's memory."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from mlcd_eval.protocols.shared.finite import check_finite
from mlcd_eval.support import mapped
from mlcd_eval.support.mapped import let_go
from mlcd_eval.support.resident import Rows

SMAPS = Path("/proc/self/smaps")
pytestmark = pytest.mark.skipif(not SMAPS.exists(), reason="counts pages as Linux tells them")


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of 4 MB; any file counts as large."""
    monkeypatch.setattr(mapped, "LARGE", 0)
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(4096, 256)).astype(np.float32))
    return tmp_path / "rows.npy"


def resident(file):
    """Bytes of a mapped file in the process's memory."""
    sizes = re.findall(rf"{re.escape(str(file))}\n(?:(?!Rss).*\n)*Rss: +(\d+) kB", SMAPS.read_text())
    return 1024 * sum(map(int, sizes))


def read_whole(array):
    check_finite(array, "rows", range(len(array)))
    return torch.cat(list(Rows(array, "cpu").chunks(100)))


def test_what_was_read_part_by_part_is_let_go_and_read_again_the_same(file, monkeypatch):
    array = np.load(file, mmap_mode="r")
    assert np.array_equal(read_whole(array), np.load(file))
    assert resident(file) < 1 << 20
    assert np.array_equal(read_whole(array[5:]), np.load(file)[5:])  # pages between two parts stay until the next pass
    monkeypatch.setattr(mapped, "LARGE", 1 << 30)
    read_whole(array)
    assert resident(file) >= 4 << 20


def test_only_whole_pages_of_the_part_are_let_go(file):
    array = np.load(file, mmap_mode="r")
    float(array.sum())
    before = resident(file)
    let_go(array[1:9])  # 8 kB between two borders of pages, which the 128 bytes of the head move
    assert before - resident(file) in (4096, 8192)
    let_go(array[1:2])
    assert before - resident(file) in (4096, 8192)


def test_changes_that_are_not_in_the_file_and_arrays_of_none_stay(file):
    copy = np.load(file, mmap_mode="c")
    copy[:] = 7
    view = copy.view()
    view.flags.writeable = False
    let_go(view)
    assert (copy == 7).all()
    plain = np.ones((4096, 256))
    let_go(plain[:, ::2])
    let_go(plain)
    assert (plain == 1).all()
