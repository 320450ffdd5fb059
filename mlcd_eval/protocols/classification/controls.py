"""Controls of protocols that learn labels: features made of the labels, with noise, and the same features shuffled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel

from mlcd_eval.protocols.base import Control, Features, Inputs, Protocol
from mlcd_eval.protocols.classification.reliability_settings import SPLITS, ReliabilitySettings
from mlcd_eval.support.progress import Progress

CLASSES, TRAIN, OTHER = 10, 300, 200  # most classes, images of train and images of another split that are used
WIDTH, NOISE = 16, 0.3  # of the features; a class's own entries are normal with deviation 1
LEAST = 0.9
ERRORS = 3  # standard errors above chance that noise may score


def label_controls(protocol: Protocol[Any], settings: BaseModel, inputs: Inputs, grid: bool = False) -> list[Control]:
    """Return a protocol's score where features hold the label, and where they are shuffled, on some of the data's own
    labels; none for fewer than two classes there.

    grid: whether it takes patches; each of four holds the label then. Chance: the largest share of a class, or the mean
    share of positives, of the test images.
    """
    if isinstance(settings, ReliabilitySettings):
        settings = settings.without_reliability()
    inputs = replace(inputs, images={role: each for role, each in inputs.images.items() if role in SPLITS}, groups={})
    chance = np.random.default_rng(inputs.seed)
    labels = _some(inputs, chance)
    if any(len(part) == 0 for part in labels.values()) or len(np.unique(labels["train"], axis=0)) < 2:
        return []
    codes = chance.normal(size=(_classes(labels["train"], labels["test"]), WIDTH))
    held = {role: _held(part, codes, 4 if grid else 1, chance) for role, part in labels.items()}
    shuffled = {role: chance.permutation(array) for role, array in held.items()}
    test = labels["test"]
    share = test.mean() if test.ndim == 2 else np.bincount(test).max() / len(test)
    most = float(share + ERRORS * np.sqrt(share * (1 - share) / len(test)))
    return [
        _scored(protocol, settings, replace(inputs, images=_images(arrays, labels, grid)), name, bound)
        for name, arrays, bound in (("labels with noise", held, None), ("shuffled features", shuffled, most))
    ]


def _scored(protocol: Protocol[Any], settings: BaseModel, inputs: Inputs, name: str, most: float | None) -> Control:
    scores = protocol.score(settings, replace(inputs, class_names=None, stage=Progress().stage))
    metric = next(metric for metric in scores.metrics if metric.name == scores.primary)
    return Control(
        name,
        most is None,
        metric.name,
        0.0 if metric.value is None else metric.value,
        metric.num_scored or 0,
        LEAST if most is None else most,
    )


def _some(inputs: Inputs, chance: np.random.Generator) -> dict[str, np.ndarray]:
    """Labels by role of some images of the most frequent classes of train, which are numbered anew."""
    labels = {role: features.labels for role, features in inputs.images.items() if features.labels is not None}
    train = labels["train"]
    counts = train.sum(axis=0) if train.ndim == 2 else np.bincount(train)
    chosen = np.sort(np.argsort(-counts, kind="stable")[:CLASSES])
    chosen = chosen[counts[chosen] > 0]
    some = {}
    for role, part in labels.items():
        own = part[:, chosen] if part.ndim == 2 else np.searchsorted(chosen, part[np.isin(part, chosen)])
        some[role] = own[chance.permutation(len(own))[: TRAIN if role == "train" else OTHER]]
    return some


def _classes(*labels: np.ndarray) -> int:
    return max(part.shape[1] if part.ndim == 2 else int(part.max()) + 1 for part in labels)


def _held(labels: np.ndarray, codes: np.ndarray, patches: int, chance: np.random.Generator) -> np.ndarray:
    own = np.tile(codes[labels] if labels.ndim == 1 else labels @ codes, patches)
    return (own + NOISE * chance.normal(size=own.shape)).astype(np.float32)


def _images(arrays: Mapping[str, np.ndarray], labels: Mapping[str, np.ndarray], grid: bool) -> dict[str, Features]:
    shape = (2, 2, -1) if grid else (-1,)
    return {
        role: Features(array.reshape(len(array), *shape), [str(row) for row in range(len(array))], labels[role])
        for role, array in arrays.items()
    }
