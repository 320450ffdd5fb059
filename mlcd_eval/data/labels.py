"""Stored labels, checked against the classes of their data set."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mlcd_eval.errors import DataError
from mlcd_eval.support.foreign import reading

MAX_CLASSES = 1_000_000
"""Scores are tables of samples by classes: a damaged label must not make them take terabytes."""


@dataclass(frozen=True)
class LabelRange:
    """The labels that a dataset allows. num_classes: None where the number of classes is not known."""

    num_classes: int | None

    def index(self, label: int, where: str) -> int:
        """The class index unchanged; raises DataError outside [0, num_classes), or [0, MAX_CLASSES)."""
        end, named = self.num_classes or MAX_CLASSES, ", one per class name" if self.num_classes else ""
        if not 0 <= label < end:
            raise DataError(f"the label of {where} is out of range: got {label}, expected 0 to {end - 1}{named}")
        return label

    def parse_index(self, text: bytes, where: str) -> int:
        """A class index from ASCII digits."""
        try:
            label = int(text)
        except ValueError:
            raise DataError(f"the label of {where} is not an integer: got {text[:40]!r}") from None
        return self.index(label, where)

    def multi_hot(self, values: Sequence[int] | np.ndarray, where: str) -> tuple[int, ...]:
        """A vector of 0 and 1, one per class; raises DataError on another shape or value."""
        array = np.asarray(values)
        if array.ndim != 1 or (self.num_classes is not None and len(array) != self.num_classes):
            expected = "(C,)" if self.num_classes is None else f"({self.num_classes},), one per class name"
            raise DataError(f"the label of {where} has the wrong shape: got {array.shape}, expected {expected}")
        if array.dtype.kind not in "biuf" or not np.isin(array, (0, 1)).all():
            raise DataError(f"the label of {where} is not multi-hot: got {array.tolist()[:8]}, expected only 0 and 1")
        return tuple(int(value) for value in array)

    def parse_multi_hot(self, contents: bytes, where: str) -> tuple[int, ...]:
        """A multi-hot vector from an .npy file, which may hold no Python objects."""
        with reading(f"the label of {where} is not a readable .npy array"):
            array = np.lib.format.read_array(io.BytesIO(contents), allow_pickle=False)
        return self.multi_hot(array, where)
