"""Controls of geometry: patches that hold what their pixels' values are, and the same patches shuffled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from mlcd_eval.data.annotations import PixelValues
from mlcd_eval.protocols.base import Control, Features, Inputs, Protocol
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.pixels import cells_of
from mlcd_eval.protocols.shared.scored import of_kind
from mlcd_eval.support.progress import Progress

IMAGES: Mapping[str, int] = {"train": 90, "val": 30, "test": 60}
GRID = (28, 28)
NOISE = 0.05  # deviation of each number of a patch, in deviations of what it holds
LEAST, MARGIN = 0.6, 0.1  # of the share below: of true values, and of noise above what a constant has
METRICS = {"depth": "delta1", "normals": "angle_within@11.25"}
"""Kind of data -> the share of pixels that are nearly right."""


def value_controls(protocol: Protocol[Any], settings: BaseModel, inputs: Inputs) -> list[Control]:
    """Return the share of right pixels where patches hold the means of their values and of these's logarithms, and
    where these patches are shuffled."""
    chance = np.random.default_rng(inputs.seed)
    values = {role: of_kind(inputs.annotations[role], PixelValues)[: IMAGES[role]] for role in inputs.annotations}
    metric_name = METRICS[protocol.kinds[0]]

    def scored(held: Mapping[str, NDArray[np.float32]]) -> tuple[float, int]:
        images = {role: Features(array, [each.image for each in values[role]]) for role, array in held.items()}
        known = replace(inputs, images=images, annotations=values, stage=Progress().stage)
        metric = next(each for each in protocol.score(settings, known).metrics if each.name == metric_name)
        return metric.value or 0.0, metric.num_scored or 0

    held = {role: _means(of_role, chance) for role, of_role in values.items()}
    constant, _ = scored({role: np.zeros((*array.shape[:3], 1), np.float32) for role, array in held.items()})
    bounds = {"true values in patches": LEAST, "shuffled patches": constant + MARGIN}
    shuffled = {role: _shuffled(array, chance) for role, array in held.items()}
    return [
        Control(name, array is held, metric_name, *scored(array), bounds[name])
        for name, array in zip(bounds, (held, shuffled), strict=True)
    ]


def _means(values: Sequence[PixelValues], chance: np.random.Generator) -> NDArray[np.float32]:
    """(N, h, w, 2 C): the means of each patch's values and of the logarithms of their sizes, with noise; 0 where none
    is known."""
    means = np.stack([_mean(each.values()) for each in values])
    scale = means.std(axis=(0, 1, 2), keepdims=True)
    noisy = means + NOISE * scale * chance.normal(size=means.shape)
    return noisy.astype(np.float32)


def _mean(values: NDArray[np.float32]) -> NDArray[np.float64]:
    numbers = np.concatenate([values, np.log(np.abs(values).clip(1e-3))], axis=2, dtype=np.float64)
    rows, columns = cells_of((values.shape[0], values.shape[1]), Layout(GRID))
    known = np.isfinite(numbers).all(axis=2)
    cell = (rows[:, None] * GRID[1] + columns)[known]
    count = np.bincount(cell, minlength=GRID[0] * GRID[1])
    sums = [np.bincount(cell, weights=each, minlength=len(count)) for each in numbers[known].T]
    return (np.stack(sums, axis=1) / np.maximum(count, 1)[:, None]).reshape(*GRID, -1)


def _shuffled(patches: NDArray[np.float32], chance: np.random.Generator) -> NDArray[np.float32]:
    flat = patches.reshape(-1, patches.shape[-1])
    return chance.permutation(flat).reshape(patches.shape)
