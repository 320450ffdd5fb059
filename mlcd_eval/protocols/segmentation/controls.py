"""Controls of segmentation: patches that hold the shares of their classes, and the same patches shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.protocols.base import Control, Features, Inputs, Protocol
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.segmentation.tokens import class_shares
from mlcd_eval.protocols.shared.scored import of_kind
from mlcd_eval.support.progress import Progress

IMAGES: Mapping[str, int] = {"train": 90, "val": 30, "test": 60}
GRID = (28, 28)
NOISE = 0.05  # deviation of each number of a patch
LEAST, MARGIN = 0.5, 0.1  # of mIoU: of true shares, and of noise above one class everywhere
METRIC = "miou"


def class_controls(protocol: Protocol[Any], settings: BaseModel, inputs: Inputs) -> list[Control]:
    """Return the mIoU where patches hold the shares of their classes, and where these patches are shuffled."""
    chance = np.random.default_rng(inputs.seed)
    maps = {role: of_kind(inputs.annotations[role], ClassMap)[: IMAGES[role]] for role in inputs.annotations}
    num_classes = max(int(each.pixels().max()) for of_role in maps.values() for each in of_role) + 1
    held = {role: _shares(of_role, num_classes, chance) for role, of_role in maps.items()}

    def scored(name: str, positive: bool) -> Control:
        arrays = held if positive else {role: _shuffled(array, chance) for role, array in held.items()}
        images = {role: Features(array, [each.image for each in maps[role]]) for role, array in arrays.items()}
        known = replace(inputs, images=images, annotations=maps, stage=Progress().stage)
        if protocol.needs(settings).texts:
            known = replace(known, **_numbers_as_names(num_classes))
        metric = protocol.score(settings, known).metrics[0]
        assert metric.name == METRIC, "the first metric ranks"
        bound = LEAST if positive else _blind(maps["test"], num_classes) + MARGIN
        return Control(name, positive, METRIC, metric.value or 0.0, metric.num_scored or 0, bound)

    return [scored("true classes in patches", True), scored("shuffled patches", False)]


def _numbers_as_names(num_classes: int) -> dict[str, Any]:
    """Inputs where the text of each class is its own direction."""
    one_hot = np.eye(num_classes, dtype=np.float32)
    names = [str(number) for number in range(num_classes)]
    return {"class_names": names, "templates": ("{c}",), "encode_texts": lambda texts: one_hot[[*map(int, texts)]]}


def _shares(maps: Sequence[ClassMap], num_classes: int, chance: np.random.Generator) -> NDArray[np.float32]:
    """(N, h, w, C): the share of each class in each patch, with noise."""
    shares = np.stack([class_shares(each.pixels(), Layout(GRID), num_classes) for each in maps])
    noisy = shares + NOISE * chance.normal(size=shares.shape)
    return noisy.astype(np.float32)


def _shuffled(patches: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.float32]:
    flat = patches.reshape(-1, patches.shape[-1])
    return chance.permutation(flat).reshape(patches.shape)


def _blind(maps: Sequence[ClassMap], num_classes: int) -> float:
    """The mIoU of the most frequent class everywhere."""
    counts = np.zeros(num_classes, np.int64)
    for each in maps:
        classes = each.pixels()
        counts += np.bincount(classes[classes >= 0], minlength=num_classes)
    return float(counts.max() / counts.sum() / max(1, np.count_nonzero(counts)))
