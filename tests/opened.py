"""What an opened data set holds, and what is refused."""

import pytest

from mlcd_eval.data import open_dataset
from mlcd_eval.errors import DataError


def samples(dataset, split):
    return [sample for shard in dataset.split(split).shards for sample in shard.samples()]


def refused(ref, sentence, split=None):
    """Opening it, or reading the annotations of a split, is an error of this sentence."""
    with pytest.raises(DataError, match=sentence):
        dataset = open_dataset(ref)
        if split is not None:
            dataset.annotations(split)
