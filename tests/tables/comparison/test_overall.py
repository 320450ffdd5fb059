import numpy as np
import pytest
from scipy.stats import rankdata

from mlcd_eval.tables.comparison.overall import _ranks


@pytest.mark.parametrize("shape", [(2, 3, 1), (4, 50, 7), (1, 1, 40)])
def test_equal_values_share_the_mean_of_their_ranks(shape):
    values = np.random.default_rng(0).integers(0, 6, size=shape) / 5
    assert np.array_equal(_ranks(values), rankdata(values, axis=-1))
