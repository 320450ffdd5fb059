"""From the keys of a batch to the classes of its images."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from mlcd_eval.errors import DataError
from mlcd_train.assignment import Labels


def label_table(labels: Labels) -> Callable[[Sequence[str]], Tensor]:
    """A function from B keys to their classes (B, l), which raises DataError for a key that the label file lacks."""
    row = {key: index for index, key in enumerate(labels.keys)}

    def classes_of(keys: Sequence[str]) -> Tensor:
        missing = [key for key in keys if key not in row]
        if missing:
            raise DataError(f"the label file lacks images of the training data: {', '.join(map(repr, missing[:5]))}")
        return labels.classes[[row[key] for key in keys]]

    return classes_of
