"""What a linear probe learns from: its layer, what features pass through, and the rows to fit and to choose by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mlcd_eval.data.split import stratified_folds
from mlcd_eval.errors import DataError
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.classification.cross_validation import FOLDS, PARTITIONS, TOO_MANY
from mlcd_eval.protocols.classification.draws import DRAWS, HOLD_OUTS
from mlcd_eval.protocols.classification.labelled import train_and_val
from mlcd_eval.protocols.classification.layer_roles import at_role, split_roles
from mlcd_eval.protocols.classification.probe_settings import LinearProbeSettings
from mlcd_eval.protocols.classification.probe_training import TrainingSet
from mlcd_eval.protocols.shared.embedding import compressed, cut
from mlcd_eval.protocols.shared.unit import unit

if TYPE_CHECKING:
    from mlcd_eval.support.resident import Prepare


def inputs_at(inputs: Inputs, layer: str, without: str | None = None) -> Inputs:
    """Return the inputs at one layer of a role each. without: a role that is left out."""
    roles = [role for role in split_roles(inputs.images) if role != without]
    return replace(inputs, images={role: at_role(inputs.images, role, layer) for role in roles})


def normalised(settings: LinearProbeSettings) -> Prepare:
    """Return what features pass through before they are compressed."""
    return unit if settings.normalise else lambda rows: rows


def prepare_of(settings: LinearProbeSettings, inputs: Inputs) -> Prepare:
    """Return what features pass through; what that depends on is learned on train."""
    return compressed(settings.embedding, inputs.images["train"].array, inputs.device, normalised(settings))


def cut_features(settings: LinearProbeSettings, inputs: Inputs) -> Inputs:
    """Return the inputs with the dimensions that are kept."""
    images = {role: replace(each, array=cut(settings.embedding, each.array)) for role, each in inputs.images.items()}
    return replace(inputs, images=images)


VTAB1K = 800, 200
"""The images that VTAB-1k fits on, and those that it chooses by."""


def _vtab1k(inputs: Inputs, labels: Mapping[str, np.ndarray], prepare: Prepare, kept: bool) -> TrainingSet:
    """The first images of train, and the first of val or, without that split, the next of train."""
    fit, chosen_by = VTAB1K
    role, first = ("val", 0) if "val" in labels else ("train", fit)
    chosen = slice(first, first + chosen_by)
    if len(labels[role][chosen]) == 0:
        size = len(labels["train"])
        raise DataError(f"VTAB-1k has no image to choose by: got {size:,} of train, expected at least {fit + 1:,}")
    fitted = inputs.images["train"].array[:fit], labels["train"][:fit]
    held_out = inputs.images[role].array[chosen], labels[role][chosen]
    return TrainingSet(*train_and_val(*fitted, *held_out), prepare=prepare, keeps_logits=kept)


def training_sets(
    settings: LinearProbeSettings, inputs: Inputs, labels: Mapping[str, np.ndarray]
) -> Iterator[TrainingSet]:
    """One set, or for few-shot one per trial. A val split that is read comes after the rows of train. Raises DataError
    for too few images."""
    rng = np.random.default_rng(inputs.seed)
    features, train = inputs.images["train"].array, labels["train"]
    in_order = settings.draw == "stratified" and not settings.shots
    trials = settings.trials if settings.shots else 1
    prepare, kept = prepare_of(settings, inputs), settings.calibration == "fitted"
    if settings.examples == "vtab1k":
        yield _vtab1k(inputs, labels, prepare, kept)
        return
    for rows in DRAWS[settings.draw](train, settings.shots, trials, rng, inputs.seed):
        array, of_rows = (features, train) if in_order else (features[rows], train[rows])
        if "val" in labels:
            yield TrainingSet(
                *train_and_val(array, of_rows, inputs.images["val"].array, labels["val"]),
                prepare=prepare,
                keeps_logits=kept,
            )
        elif settings.searches and settings.selection == "cross_validation" and len(of_rows) < TOO_MANY:
            folds = [fold for _ in range(PARTITIONS) for fold in stratified_folds(of_rows, FOLDS, rng)]
            yield TrainingSet(array, of_rows, np.arange(len(of_rows)), np.arange(0), folds, trials == 1, prepare, kept)
        else:
            held_out = HOLD_OUTS[settings.hold_out](of_rows, settings.val_fraction, rng)
            yield TrainingSet(array, of_rows, *held_out, prepare=prepare, keeps_logits=kept)
