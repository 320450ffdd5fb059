"""The matrix of docs/encoders.md: that it can fail, that the page is its table, and, slowly, every row."""

import dataclasses

import pytest
import torch

from benchmarks.encoder_matrix import matrix
from benchmarks.encoder_matrix.case import Expected

CASES = {case.architecture: case for case in matrix.cases()}


def test_a_row_that_differs_is_seen(tmp_path):
    """One thousandth off in one of the values, or another shape."""
    case = CASES["ViT (timm)"]
    assert matrix.measure(case, tmp_path).difference <= matrix.TOLERANCE

    def changed(change):
        def oracle(*arguments):
            expected = case.oracle(*arguments)
            return Expected({"penultimate": change(expected.layers["penultimate"].clone())}, expected.pixels)

        return dataclasses.replace(case, oracle=oracle)

    off = matrix.measure(changed(lambda values: values.index_put((torch.tensor(0),), values[0] + 0.001)), tmp_path)
    assert 1e-4 < off.difference <= 0.001
    assert matrix.measure(changed(lambda values: values[:, :1]), tmp_path).difference == float("inf")


def test_the_page_has_a_row_for_every_architecture():
    assert {cells[0] for cells in matrix.written()} == set(CASES)
    assert len(CASES) >= 45 and len(CASES) == len(list(matrix.cases()))


@pytest.mark.slow
@pytest.mark.parametrize("architecture", CASES)
def test_every_architecture_equals_its_library(architecture, tmp_path):
    row = matrix.measure(CASES[architecture], tmp_path)
    assert row.difference <= matrix.TOLERANCE and row.cells in matrix.written()
