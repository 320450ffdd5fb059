"""Controls of region_classification: patches that hold the classes of the regions over them, and the same shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mlcd_eval.data.annotations import Region
from mlcd_eval.protocols.base import Control, Features, Inputs
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.regions.pooling import weights_of
from mlcd_eval.protocols.regions.scoring import PRIMARY, classified
from mlcd_eval.protocols.regions.settings import RegionClassificationSettings
from mlcd_eval.protocols.shared.scored import of_kind
from mlcd_eval.support.progress import Progress

IMAGES: Mapping[str, int] = {"train": 90, "val": 30, "test": 60}
GRID = (28, 28)
NOISE = 0.05  # deviation of each number of a patch
LEAST, MARGIN = 0.5, 0.1  # of accuracy: of true classes, and of noise above the most frequent class everywhere


def class_controls(settings: RegionClassificationSettings, inputs: Inputs) -> list[Control]:
    """Return the accuracy where a patch holds how much of it each class's regions cover, and where patches are
    shuffled. With prompts, each class is a direction of its own."""
    chance = np.random.default_rng(inputs.seed)
    regions = {role: _some(inputs, role) for role in inputs.images}
    names = list(inputs.class_names or ())
    held = {role: _patches(each, len(names), chance) for role, each in regions.items()}
    codes = {name: number for number, name in reversed(list(enumerate(names)))}
    spoken = replace(
        inputs,
        class_names=names,
        templates=["{c}"],
        encode_texts=lambda texts: np.eye(len(names), dtype=np.float32)[[codes[text] for text in texts]],
        stage=Progress().stage,
    )

    def scored(name: str, positive: bool) -> Control:
        arrays = held if positive else {role: _shuffled(array, chance) for role, array in held.items()}
        images = {
            role: Features(array, list(dict.fromkeys(region.image for region in regions[role])))
            for role, array in arrays.items()
        }
        columns, _ = classified(settings, regions, names, replace(spoken, images=images))
        counts = np.bincount(columns["label"])
        bound = LEAST if positive else float(counts.max() / counts.sum()) + MARGIN
        return Control(name, positive, PRIMARY, float(np.mean(columns["correct"])), len(columns["label"]), bound)

    return [scored("true classes in patches", True), scored("shuffled patches", False)]


def _some(inputs: Inputs, role: str) -> list[Region]:
    """The regions of some of a role's images."""
    regions = of_kind(inputs.annotations[role], Region)
    images = set(list(dict.fromkeys(region.image for region in regions))[: IMAGES[role]])
    return [region for region in regions if region.image in images]


def _patches(regions: Sequence[Region], num_classes: int, chance: np.random.Generator) -> NDArray[np.float32]:
    """(N, h, w, C): how much of a patch the regions of each class cover, of images in the order of the regions."""
    row = {image: number for number, image in enumerate(dict.fromkeys(region.image for region in regions))}
    patches = np.zeros((len(row), *GRID, num_classes))
    for region in regions:
        weights = weights_of(region, Layout(GRID), "box" if region.truth is None else "mask")[0]
        patches[row[region.image], ..., region.label] += weights / weights.max()
    return (patches + NOISE * chance.normal(size=patches.shape)).astype(np.float32)


def _shuffled(patches: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.float32]:
    flat = patches.reshape(-1, patches.shape[-1])
    return chance.permutation(flat).reshape(patches.shape)
