"""Confusions counted by hand."""

import numpy as np

from mlcd_eval.metrics.confusion import class_accuracies, confusions

LABELS = np.array([0, 0, 0, 0, 2, 2, 2, 5])
PREDICTIONS = np.array([0, 2, 2, 5, 2, 0, 0, 1])


def test_accuracy_of_each_class():
    found = class_accuracies(LABELS, PREDICTIONS)
    assert [(each.label, each.num_samples, each.right) for each in found] == [(0, 4, 1), (2, 3, 1), (5, 1, 0)]
    assert [each.value for each in found] == [1 / 4, 1 / 3, 0]


def test_the_most_frequent_confusions_come_first_and_equal_ones_in_order():
    assert [tuple(each) for each in confusions(LABELS, PREDICTIONS, 9)] == [
        (0, 2, 2, 4),
        (2, 0, 2, 3),
        (0, 5, 1, 4),
        (5, 1, 1, 1),
    ]
    assert len(confusions(LABELS, PREDICTIONS, 1)) == 1 and confusions(LABELS, LABELS, 9) == []
