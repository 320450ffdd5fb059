"""A linear probe of regions, by linear_probe's solver; lambda is chosen on val, or on held-out images of train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Region
from mlcd_eval.metrics.classification import classification_samples
from mlcd_eval.protocols.classification.labelled import train_and_val
from mlcd_eval.protocols.classification.probe_training import TrainingSet, check_contrast, train_probe
from mlcd_eval.protocols.classification.sweep import MOST_CANDIDATES, sweep_of
from mlcd_eval.protocols.classification.threads import threads_for
from mlcd_eval.protocols.shared.held_out import held_out_rows
from mlcd_eval.support.progress import Advance

FITS = MOST_CANDIDATES + 1
"""How many fits `probed` makes, at most."""


@dataclass(frozen=True)
class Fitting:
    """How a probe is fitted. lambda_: fixed, or None to search it; val_fraction: of train's units that choose it where
    there is no val; max_iter, tolerance: of the last fit, as linear_probe's."""

    lambda_: float | None
    val_fraction: float
    max_iter: int
    tolerance: float


def labels_of(regions: Sequence[Region]) -> NDArray[np.int64]:
    """The class of each region (R,)."""
    return np.array([region.label for region in regions], np.int64)


def probed(
    features: Mapping[str, NDArray[np.float32]],
    regions: Mapping[str, Sequence[Region]],
    num_classes: int,
    how: Fitting,
    seed: int,
    device: str,
    advance: Advance = lambda _: None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns of the test regions (metrics/classification.py), and for the record how they were made.

    features: role -> (R, D) of its regions; the roles are train, test and, where it chooses lambda, val. Raises
    IncompatibleError where train has one class only.
    """
    from mlcd_eval.support.resident import Rows

    array, labels = features["train"], labels_of(regions["train"])
    check_contrast(labels, "region_classification")
    rows = np.arange(len(labels))
    data = TrainingSet(array, labels, rows, rows[:0])
    if how.lambda_ is None and "val" in features:
        data = TrainingSet(*train_and_val(array, labels, features["val"], labels_of(regions["val"])))
    elif how.lambda_ is None:
        units = [region.unit for region in regions["train"]]
        held_out = held_out_rows(units, how.val_fraction, np.random.default_rng(seed))
        data = TrainingSet(array, labels, rows[~held_out], rows[held_out])
    sweep = sweep_of("clip", binary=False)
    with threads_for(array.size * num_classes):
        probe = train_probe(data, num_classes, "acc1", sweep, how.lambda_, how.max_iter, how.tolerance, device, advance)
        columns = classification_samples(probe.fit.scores(Rows(features["test"], device)), labels_of(regions["test"]))
    return columns, probe.details
