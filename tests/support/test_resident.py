"""Rows are the array's, in whatever way they are asked for. tests/pretend_gpu has the same on a device."""

import numpy as np
import pytest
import torch

from mlcd_eval.support import resident
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


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("share", [0.5, 0.0])
def test_rows_on_a_gpu_whether_they_fit_or_not(share, monkeypatch):
    """Parts are small and many, so that a buffer that is filled too early would show."""
    monkeypatch.setattr(resident, "SHARE", share)
    array = np.random.default_rng(0).normal(size=(20_000, 256)).astype(np.float32)
    rows = Rows(array, "cuda", lambda part: 2 * part)
    for _ in range(3):
        assert np.array_equal(torch.cat(list(rows.chunks(997))).cpu(), 2 * array)
    index = np.random.default_rng(1).permutation(20_000)
    assert np.array_equal(torch.cat(list(rows.select(index).chunks(997))).cpu(), 2 * array[index])
