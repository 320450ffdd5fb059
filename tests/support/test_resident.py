"""Rows are the array's, in whatever way they are asked for. tests/pretend_gpu has the same on a device."""

import numpy as np
import pytest
import torch

from mlcd_eval.support.resident import Rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_rows_chunks_and_selections(dtype):
    array = np.random.default_rng(0).normal(size=(23, 3, 2)).astype(dtype)
    rows, index = Rows(array, "cpu", lambda part: 2 * part), np.array([20, 3, 3, 11])
    assert rows.shape == (23, 3, 2) and len(rows.select(index)) == 4
    assert np.array_equal(torch.cat(list(rows.chunks(5))), 2 * array)
    assert [len(part) for part in rows.chunks(5)] == [5, 5, 5, 5, 3]
    for part in (slice(4, 9), index, torch.tensor(index)):
        assert np.array_equal(rows[part], 2 * array[np.asarray(part) if isinstance(part, torch.Tensor) else part])
    assert np.array_equal(torch.cat(list(rows.select(index).chunks(3))), 2 * array[index])
    assert np.array_equal(rows.select(index).select(np.array([3, 0]))[0:2], 2 * array[[11, 20]])
