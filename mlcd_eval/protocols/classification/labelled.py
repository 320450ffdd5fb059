"""What the protocols on labelled features have in common: splits, checks of features and labels, and metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.base import Metric
from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.metrics.kind import MetricKind
from mlcd_eval.metrics.multilabel import multilabel_samples
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.metrics.table import CLASSIFICATION, MULTILABEL, ON_REQUEST, measure
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs
from mlcd_eval.protocols.shared.finite import check_finite

if TYPE_CHECKING:
    from torch import Tensor


def _one_of(*known: str) -> Callable[[str], str]:
    def checked(name: str) -> str:
        names = [repr(each) for each in known]
        if repr(name) not in names:
            expected = f"{', '.join(names[:-1])} or {names[-1]}"
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
        return name

    return checked


PrimaryMetric = Annotated[str, AfterValidator(_one_of(*CLASSIFICATION, *MULTILABEL))]
"""A setting: the name of a metric of labelled images."""
ZeroShotMetric = Annotated[str, AfterValidator(_one_of(*CLASSIFICATION, *MULTILABEL, *ON_REQUEST))]
"""A setting: the same, or the name of one that is reported on request only."""


def split_requests(
    protocol: str, layer: str, splits: Sequence[str], optional: tuple[str, ...] = (), exif: bool = False
) -> dict[str, ImageRequest]:
    """train, test and those of `optional` that exist; raises IncompatibleError without train or test."""
    missing = [name for name in ("train", "test") if name not in splits]
    if missing:
        raise IncompatibleError(
            f"{protocol} learns from train and is scored on test: got the splits {', '.join(splits)}, "
            f"expected {' and '.join(missing)} too"
        )
    return {name: ImageRequest(name, layer, exif=exif) for name in ("train", *optional, "test") if name in splits}


def checked_labels(features: Features, split: str) -> np.ndarray:
    """The labels of a split; raises DataError for a split without samples, or with a feature that is not finite."""
    assert features.labels is not None, "classification and multilabel datasets have labels"
    if len(features.labels) == 0:
        raise DataError(f"split {split!r} has no readable image: got 0 features, expected at least 1")
    check_finite(features.array, f"features of split {split!r}", features.keys)
    return features.labels


def train_and_val(
    array: np.ndarray, labels: np.ndarray, val: np.ndarray, val_labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the features and labels of train and val, in this order, and the rows of each."""
    places = np.arange(len(labels) + len(val_labels))
    both = np.concatenate([array, val]), np.concatenate([labels, val_labels])
    return *both, places[: len(labels)], places[len(labels) :]


def count_classes(inputs: Inputs) -> int:
    """The number of classes that the dataset names, or where it names none, that its labels show."""
    labels = [features.labels for features in inputs.images.values() if features.labels is not None]
    if labels[0].ndim == 2:
        return labels[0].shape[1]
    return max(len(inputs.class_names or ()), 1 + max(int(part.max()) for part in labels))


def primary_metric(wanted: str | None, num_classes: int, multilabel: bool) -> str:
    """The metric that ranks: the wanted one, else acc1, or map_11point where images have several labels.

    Raises IncompatibleError for a metric that is not defined for such labels.
    """
    kinds = _kinds(multilabel) if wanted not in ON_REQUEST or multilabel else ON_REQUEST
    fitting = [name for name, kind in kinds.items() if kind.fits(num_classes)]
    if wanted is not None and wanted not in fitting:
        number = "several labels" if multilabel else "one label"
        raise IncompatibleError(
            f"metric {wanted!r} is undefined here: got {num_classes} classes and {number} per image, "
            f"expected one of {', '.join(fitting)}"
        )
    return wanted or ("map_11point" if multilabel else "acc1")


def columns_of(scores: Iterable[Tensor], labels: np.ndarray) -> Columns:
    """Return what the metrics need to know of logits, in chunks (B, C), of labels (N,) or (N, C) 0/1.

    For several labels per image `prediction` has those of probability over a half, and `correct` is 1 where these are
    exactly the true ones.
    """
    if labels.ndim == 1:
        return classification_samples(scores, labels)
    every = np.concatenate([part.cpu().numpy() for part in scores])
    return multilabel_samples(every, labels) | {
        "prediction": [np.flatnonzero(row > 0).tolist() for row in every],
        "correct": ((every > 0) == labels).all(axis=1) * 1.0,
    }


def measured(columns: Columns, num_classes: int, multilabel: bool, seed: int, num_unscored: int) -> list[Metric]:
    """Every metric for such labels. A metric that needs more classes is None; one for two classes only is left out."""
    return [
        measure(name, columns, seed, num_unscored, defined=kind.fits(num_classes))
        for name, kind in _kinds(multilabel).items()
        if kind.fits(num_classes) or math.isinf(kind.classes[1])
    ]


def as_lists(columns: Columns) -> dict[str, list[Any]]:
    """Columns as samples hold them."""
    return {
        name: column.tolist() if isinstance(column, np.ndarray) else list(column) for name, column in columns.items()
    }


def _kinds(multilabel: bool) -> Mapping[str, MetricKind]:
    return MULTILABEL if multilabel else CLASSIFICATION
