import io

import numpy as np
import pytest

from mlcd_eval.data.labels import LabelRange
from mlcd_eval.errors import DataError


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def test_index():
    labels = LabelRange(3)
    assert [labels.parse_index(text, "s") for text in (b"0", b" 2\n")] == [0, 2]
    assert LabelRange(None).parse_index(b"99", "s") == 99


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"3", "the label of s is out of range: got 3, expected 0 to 2, one per class name"),
        (b"-1", "got -1, expected 0 to 2"),
        (b"1.0", "the label of s is not an integer: got b'1.0'"),
        (b"", "not an integer"),
    ],
)
def test_bad_index(text, message):
    with pytest.raises(DataError, match=message):
        LabelRange(3).parse_index(text, "s")


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32, bool])
def test_multi_hot(dtype):
    assert LabelRange(3).parse_multi_hot(npy(np.array([1, 0, 1], dtype=dtype)), "s") == (1, 0, 1)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (npy(np.array([1, 0])), r"wrong shape: got \(2,\), expected \(3,\), one per class name"),
        (npy(np.array([[1, 0, 1]])), r"wrong shape: got \(1, 3\)"),
        (npy(np.array([1, 0, 2])), r"not multi-hot: got \[1, 0, 2\]"),
        (npy(np.array([1, 0, np.nan])), "not multi-hot"),
        (npy(np.array(["a", "b", "c"])), "not multi-hot"),
        (npy(np.array([1, 0, object()], dtype=object), allow_pickle=True), "not a readable .npy array: Object arrays"),
        (npy(np.array([1, 0, 1]))[:-4], "not a readable .npy array"),
        (b"1", "not a readable .npy array"),
    ],
)
def test_bad_multi_hot(contents, message):
    with pytest.raises(DataError, match=message):
        LabelRange(3).parse_multi_hot(contents, "s")
