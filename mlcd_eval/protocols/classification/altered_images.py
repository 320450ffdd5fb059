"""What a classifier says of altered test images: whether it is right, and whether it says what it said before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlcd_eval.data.alterations.names import ALL, LEAST, severities, small_changes
from mlcd_eval.errors import DataError
from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.metrics.corruption import CORRECT
from mlcd_eval.metrics.reliability import CORRUPTED
from mlcd_eval.metrics.statistics import Columns
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification.reliability_settings import Logits, ReliabilitySettings
from mlcd_eval.protocols.shared.finite import check_finite


@dataclass(frozen=True)
class OfAlteredImages:
    """samples: columns (N, K) for the metrics of these names. details: for the record."""

    samples: dict[str, np.ndarray]
    names: list[str]
    details: dict[str, Any]


def of_altered_images(
    settings: ReliabilitySettings, inputs: Inputs, columns: Columns, logits: Logits
) -> OfAlteredImages:
    """Compare with the labels and the predictions in `columns`. Raises DataError where an image cannot be altered."""
    labels, before = np.asarray(columns["label"]), np.asarray(columns["prediction"])
    found = {name: _outcomes(name, inputs, labels, logits) for name in settings.alterations}
    same = {name: (found[name]["prediction"] == before) * 1.0 for name in found if name in small_changes()}
    correct = {name: found[name]["correct"] for name in found if name not in same}
    kinds = list(dict.fromkeys(name.partition("/")[0] for name in correct))
    samples = {f"{CORRECT}{kind}": _stacked(correct, severities(correct, kind)) for kind in kinds}
    names = [f"{CORRUPTED}{kind}" for kind in kinds]
    details = {}
    if correct:
        names = ["corrupted_acc1", *(["mce_alexnet"] if settings.corruptions == (ALL,) else []), *names]
        details["corruptions"] = _means(correct)
    if same:
        samples["same"] = _stacked(same, same)
        names.append("stability")
        details["stability"] = _means(same)
    return OfAlteredImages(samples, names, details)


def _outcomes(name: str, inputs: Inputs, labels: np.ndarray, logits: Logits) -> dict[str, np.ndarray]:
    test, images = inputs.images["test"], inputs.images[name]
    if list(images.keys) != list(test.keys):
        raise DataError(
            f"{len(test.keys) - len(images.keys)} of {len(test.keys)} images cannot be altered by {name}: expected "
            f"sides of at least {LEAST} pixels"
        )
    check_finite(images.array, f"features of images altered by {name}", images.keys)
    return classification_samples(logits(images), labels)


def _stacked(columns: Mapping[str, np.ndarray], names: Iterable[str]) -> np.ndarray:
    return np.stack([columns[name] for name in names], axis=1)


def _means(columns: Mapping[str, np.ndarray]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in columns.items()}
