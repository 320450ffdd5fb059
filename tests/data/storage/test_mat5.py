"""MATLAB's files of version 5 against scipy, which writes and reads them."""

import struct

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from mlcd_eval.data.storage.mat5 import number_arrays
from mlcd_eval.errors import DataError

ARRAYS = {
    "trainNdxs": np.arange(1, 796)[:, None],
    "small": np.array([[1, 2]], np.uint8),  # within its tag
    "halves": np.linspace(0, 1, 12).reshape(3, 4),
    "cube": np.arange(24, dtype=np.int16).reshape(2, 3, 4),
    "single": np.float32([[0.5]]),
    "empty": np.zeros((0, 3)),
    "a_long_name_of_an_array": np.array([[7]], np.uint64),
}


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_are_those_that_scipy_reads(compressed, tmp_path):
    path = tmp_path / "a.mat"
    others = {"text": "words", "cell": np.array([1, "a"], object), "waves": np.array([[1j]])}
    savemat(path, ARRAYS | others, do_compression=compressed)
    found, expected = number_arrays(path), loadmat(path)
    assert found.keys() == ARRAYS.keys()
    for name, array in found.items():
        assert np.array_equal(array, expected[name]) and array.shape == expected[name].shape


def test_damaged_files_are_one_sentence(tmp_path):
    path = tmp_path / "a.mat"
    savemat(path, ARRAYS)
    contents = path.read_bytes()
    path.write_bytes(contents[:-8])
    with pytest.raises(DataError, match=r"a\.mat is damaged: an element of 80 bytes at byte .* is cut off"):
        number_arrays(path)
    place = contents.index(struct.pack("<ii", 795, 1))
    path.write_bytes(contents[:place] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + contents[place + 8 :])
    with pytest.raises(DataError, match=r"is damaged: an array of shape \[2147483647, 2147483647\] has 795 numbers"):
        number_arrays(path)
    for other in (b"", b"MATLAB", contents[:124] + b"\x01\x00MI" + contents[128:]):
        path.write_bytes(other)
        with pytest.raises(DataError, match="is no MATLAB file of version 5, little-endian, expected one"):
            number_arrays(path)
