"""Weights: counted, written, and what goes wrong with them."""

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mlcd_eval.encoders.weights import check_vocabulary, num_params, os_errors, write_tensors
from mlcd_eval.errors import CheckpointError


def test_all_parameters_are_counted():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    assert num_params(model) == 12 + 4 + 4 + 4  # the running statistics are buffers


@pytest.mark.parametrize(("largest", "size"), [(9, 10), (10**9, None), (0, 1)])
def test_tokens_of_the_vocabulary(largest, size):
    check_vocabulary("x", largest, size)


@pytest.mark.parametrize(("largest", "size"), [(10, 10), (49408, 10), (0, 0)])
def test_tokens_beyond_the_vocabulary(largest, size):
    with pytest.raises(
        CheckpointError, match=f"--model 'x': its tokenizer gives token {largest:,}, expected less than"
    ):
        check_vocabulary("x", largest, size)


def test_tensors_are_written_as_they_are_read(tmp_path):
    learned = torch.arange(6.0).reshape(2, 3).requires_grad_()
    write_tensors(tmp_path / "w", {"a": learned.T, "b": learned[:, :1]})
    read = load_file(tmp_path / "w")
    assert read["a"].tolist() == learned.T.tolist() and read["b"].tolist() == [[0], [3]]


@pytest.mark.parametrize("text", ["I/O error: No space left (os error 28)", "Error while: code: 28, kind: StorageFull"])
def test_a_full_disk_is_an_error_of_the_system(tmp_path, text):
    with pytest.raises(OSError, match="No space left on device") as caught, os_errors(tmp_path / "w"):
        raise SafetensorError(text)
    assert (caught.value.errno, caught.value.filename) == (28, str(tmp_path / "w"))


def test_other_errors_stay(tmp_path):
    with pytest.raises(SafetensorError, match="header too large"), os_errors(tmp_path):
        raise SafetensorError("header too large")
