"""Arrays in pieces are the files that numpy writes, and are complete or absent."""

import numpy as np
import pytest

from mlcd_eval.errors import DataError
from mlcd_eval.support.npy import read_npy, write_npy

TYPES = ["<f4", "<f8", np.int64, np.dtype([("high", "<u4"), ("low", "<u2"), ("classes", "<i4", (3,))])]


@pytest.mark.parametrize("dtype", TYPES, ids=["f4", "f8", "i8", "rows"])
def test_the_file_is_read_by_numpy(tmp_path, dtype):
    array = np.frombuffer(np.random.default_rng(0).bytes(7 * np.dtype(dtype).itemsize), dtype)
    write_npy(tmp_path / "new" / "a.npy", array.shape, (array[:3], array[3:3], array[3:]), dtype)
    read = np.load(tmp_path / "new" / "a.npy", allow_pickle=False)
    assert read.dtype == array.dtype and read.tobytes() == array.tobytes()


def test_pieces_are_converted_and_none_are_needed(tmp_path):
    write_npy(tmp_path / "a.npy", (4, 2), [np.arange(8).reshape(2, 4).T])
    assert np.load(tmp_path / "a.npy").tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]
    write_npy(tmp_path / "none.npy", (0, 5), [])
    assert np.load(tmp_path / "none.npy").shape == (0, 5)


def test_a_piece_that_cannot_be_had_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.npy"
    write_npy(path, (1,), [np.ones(1)])

    def pieces():
        yield np.zeros(1)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        write_npy(path, (2,), pieces())
    assert np.load(path).tolist() == [1] and [file.name for file in tmp_path.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("mapped", [True, False])
def test_a_header_longer_than_the_file_takes_no_memory(tmp_path, mapped):
    path = tmp_path / "x.npy"
    for version in (b"\2\0", b"\3\0"):
        path.write_bytes(b"\x93NUMPY" + version + b"\xff\xff\xff\x7f" + b"{'descr': '<f4'}")
        with pytest.raises(DataError, match=r"x.npy is damaged: a header of 2,147,483,647 bytes"):
            read_npy(path, mapped)
    write_npy(path, (2, 2), [np.ones((2, 2))])
    assert read_npy(path, mapped).tolist() == [[1, 1], [1, 1]] and isinstance(read_npy(path), np.memmap)
