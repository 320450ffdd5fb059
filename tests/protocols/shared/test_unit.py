import numpy as np
import pytest
import torch

from mlcd_eval.protocols.shared.unit import unit


def draw():
    return np.random.default_rng(0).normal(size=(50, 768)).astype(np.float32) * np.float32(3.7)


def test_ordinary_rows_are_normalised_to_the_bit():
    assert torch.equal(unit(torch.tensor(draw())), torch.nn.functional.normalize(torch.tensor(draw()), dim=1))


@pytest.mark.parametrize("scale", [1e-38, 1e-22, 1e-12, 1e18, 1e20, 1e37])
def test_rows_of_any_size_have_unit_length(scale):
    rows = unit(torch.tensor(draw() * np.float32(scale)))
    assert rows.numpy() == pytest.approx(unit(torch.tensor(draw())).numpy(), abs=1e-6)


def test_zeros_stay_zero_and_the_least_number_does_not():
    rows = np.zeros((3, 4), dtype=np.float32)
    rows[1, 2], rows[2, 1] = 1e-45, -3.4e38
    assert unit(torch.tensor(rows)).tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0]]
