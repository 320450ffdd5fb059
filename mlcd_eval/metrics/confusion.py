"""Which classes are confused, from labels and predicted classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class ClassAccuracy(NamedTuple):
    """The samples of a class, and how many of them are right."""

    label: int
    num_samples: int
    right: int

    @property
    def value(self) -> float:
        """The share that is right."""
        return self.right / self.num_samples


class Confusion(NamedTuple):
    """Samples of class `label` that were taken for class `prediction`: `number` of its `num_samples`."""

    label: int
    prediction: int
    number: int
    num_samples: int


def class_accuracies(labels: NDArray[Any], predictions: NDArray[Any]) -> list[ClassAccuracy]:
    """The classes that labels (N,) name, in their order; predictions: (N,), as ints too."""
    classes, place, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    right = np.bincount(place, weights=labels == predictions)
    return [ClassAccuracy(*map(int, row)) for row in zip(classes, sizes, right, strict=True)]


def confusions(labels: NDArray[Any], predictions: NDArray[Any], most: int) -> list[Confusion]:
    """The `most` most frequent confusions of classes, equal ones in the order of labels and predictions."""
    sizes = dict(zip(*(values.tolist() for values in np.unique(labels, return_counts=True)), strict=True))
    wrong = labels != predictions
    pairs, counts = np.unique(np.stack([labels[wrong], predictions[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [
        Confusion(int(label), int(prediction), int(count), sizes[int(label)])
        for (label, prediction), count in zip(pairs[order], counts[order], strict=True)
    ]
