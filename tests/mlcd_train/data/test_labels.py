"""Classes join batches by key."""

import pytest
import torch

from mlcd_eval.errors import DataError
from mlcd_train.assignment import Labels
from mlcd_train.data.labels import label_table


def test_labels_join_by_key():
    labels = Labels(["b", "a"], torch.tensor([[1, 2], [3, -1]]), torch.zeros(2, 2), 4, "d", "c")
    classes_of = label_table(labels)
    assert classes_of(["a", "b", "a"]).tolist() == [[3, -1], [1, 2], [3, -1]]
    with pytest.raises(DataError, match="lacks images of the training data: 'z'"):
        classes_of(["a", "z"])
