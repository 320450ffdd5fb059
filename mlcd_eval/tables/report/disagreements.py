"""Images of which one of two models knows the class and the other does not, with their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.errors import DataError
from mlcd_eval.tables.comparison.compare import Comparison
from mlcd_eval.tables.comparison.pairing import Side
from mlcd_eval.tables.report.examples import Picture

if TYPE_CHECKING:
    from mlcd_eval.data.base import Dataset

SIDE = 224
"""Pixels of a picture's longest side."""


@dataclass(frozen=True)
class Disagreement:
    """An image. truth, a, b: the names, or numbers, of its class and of those that both models took it for."""

    key: str
    truth: str
    a: str
    b: str
    picture: Picture


@dataclass(frozen=True)
class OfTask:
    """kinds: which of both is right -> how many images that are, and some of them; why: why none are shown."""

    task: str
    kinds: Mapping[str, tuple[int, list[Disagreement]]]
    why: str = ""


def disagreements(comparison: Comparison, most: int) -> list[OfTask]:
    """For each task of the comparison, at most `most` images of either kind, evenly spread over the data's order.

    Raises ConfigError and DataError for data that is not where A's record says, or lacks an image.
    """
    return [_of_task(comparison.a, comparison.b, each.task, most) for each in comparison.tasks]


def _of_task(a: Side, b: Side, task: str, most: int) -> OfTask:
    from mlcd_eval.data.open import open_dataset  # pictures need more packages than tables
    from mlcd_eval.tables.report.pictures import as_picture
    from mlcd_eval.tables.report.sheet import small_images

    record = a.records[task]
    try:
        keys, labels, of_a = _predicted(a, task)
        _, _, of_b = _predicted(b, task)
    except DataError as reason:
        return OfTask(task, {}, str(reason))
    if record.request is None:
        return OfTask(task, {}, "the record does not say where its data was")
    right_a, right_b = of_a == labels, of_b == labels
    found = {
        "A is right, B is wrong": np.flatnonzero(right_a & ~right_b),
        "B is right, A is wrong": np.flatnonzero(right_b & ~right_a),
    }
    chosen = {kind: _spread(places, most) for kind, places in found.items()}
    dataset = open_dataset(record.request.dataset, offline=True)
    images = small_images(
        dataset, record.dataset.split, {keys[at] for places in chosen.values() for at in places}, SIDE
    )

    def shown(at: int) -> Disagreement:
        truth, by_a, by_b = (_name(dataset, int(classes[at])) for classes in (labels, of_a, of_b))
        words = f"{truth}; A: {by_a}; B: {by_b}"
        return Disagreement(keys[at], truth, by_a, by_b, as_picture(keys[at], words, np.asarray(images[keys[at]])))

    return OfTask(task, {kind: (len(found[kind]), list(map(shown, places))) for kind, places in chosen.items()})


def _predicted(side: Side, task: str) -> tuple[Sequence[Any], NDArray[Any], NDArray[Any]]:
    """Keys, labels and predicted classes; raises DataError where there is no one class for each image."""
    outcomes = side.outcomes(task)
    columns = outcomes.columns if outcomes else {}
    if not {"key", "label", "prediction"} <= columns.keys():
        raise DataError(f"the outcomes of {side.model} hold no predicted classes of images")
    if any(np.ndim(columns[name][0]) > 0 for name in ("label", "prediction")):
        raise DataError("its images have several labels or predictions, and no single class")
    return list(columns["key"]), np.asarray(columns["label"]), np.asarray(columns["prediction"])


def _spread(places: NDArray[Any], most: int) -> list[int]:
    picked = np.linspace(0, len(places) - 1, min(most, len(places))).round().astype(int)
    return [int(at) for at in places[picked]]


def _name(dataset: Dataset, label: int) -> str:
    names = dataset.class_names
    return names[label] if names and label < len(names) else f"class {label}"
