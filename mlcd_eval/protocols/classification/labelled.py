"""What the protocols on labelled features have in common: which splits, and checks of what is in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs
from mlcd_eval.protocols.shared.finite import check_finite


def split_requests(
    protocol: str, layer: str, splits: Sequence[str], optional: tuple[str, ...] = ()
) -> dict[str, ImageRequest]:
    """train, test and those of `optional` that there are; raises IncompatibleError without train or test."""
    missing = [name for name in ("train", "test") if name not in splits]
    if missing:
        raise IncompatibleError(
            f"{protocol} learns from train and is scored on test: got the splits {', '.join(splits)}, "
            f"expected {' and '.join(missing)} too"
        )
    return {name: ImageRequest(name, layer) for name in ("train", *optional, "test") if name in splits}


def checked_labels(features: Features, split: str) -> np.ndarray:
    """The labels of a split whose features are usable; raises DataError for one without samples, or with a feature that
    is not finite."""
    assert features.labels is not None, "classification and multilabel datasets have labels"
    if len(features.labels) == 0:
        raise DataError(f"split {split!r} has no readable image: got 0 features, expected at least 1")
    check_finite(features.array, f"features of split {split!r}", features.keys)
    return features.labels


def count_classes(inputs: Inputs) -> int:
    """As many as the dataset names, or as its labels show where it names none."""
    labels = [features.labels for features in inputs.images.values() if features.labels is not None]
    if labels[0].ndim == 2:
        return labels[0].shape[1]
    return max(len(inputs.class_names or ()), 1 + max(int(part.max()) for part in labels))
