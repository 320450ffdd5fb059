"""Which train rows a probe learns from and which are held out to choose its penalty, as each source draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mlcd_eval.data.split import few_shot, stratified_split

MTEB_SEED = 42
"""Of mteb's classification tasks, whatever else is seeded."""

Rows = np.ndarray
Draw = Callable[[np.ndarray, int | None, int, np.random.Generator, int], Iterator[Rows]]
"""Labels (N,), shots per class (None: all), trials, source of chance and its seed -> the rows of each trial."""


def stratified_shots(
    labels: np.ndarray, shots: int | None, trials: int, rng: np.random.Generator, seed: int
) -> Iterator[Rows]:
    """Yield ascending rows, drawn anew in each trial."""
    for _ in range(trials):
        yield np.arange(len(labels)) if shots is None else few_shot(labels, shots, rng)


def mteb_shots(
    labels: np.ndarray, shots: int | None, trials: int, rng: np.random.Generator, seed: int
) -> Iterator[Rows]:
    """Yield the rows of mteb's AbsTaskClassification, in its order.

    At the start of each trial a new RandomState(42) shuffles the same list of rows in place, so that trial t has the
    order P^t, P that seed's permutation; the first `shots` rows of each class in this order are taken.
    """
    rows = np.arange(len(labels))
    for _ in range(trials):
        np.random.RandomState(MTEB_SEED).shuffle(rows)
        yield first_of_each_class(rows, labels, shots)


def clip_benchmark_shots(
    labels: np.ndarray, shots: int | None, trials: int, rng: np.random.Generator, seed: int
) -> Iterator[Rows]:
    """Yield the rows of clip_benchmark's linear_probe.evaluate after torch.manual_seed, in its order: the first `shots`
    of each class in a random permutation. Trial t has the seed `seed` + t."""
    import torch

    for trial in range(trials):
        rows = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed + trial)).numpy()
        yield first_of_each_class(rows, labels, shots)


DRAWS: dict[str, Draw] = {
    "stratified": stratified_shots,
    "mteb": mteb_shots,
    "clip_benchmark": clip_benchmark_shots,
}
"""By the setting `draw`."""


def first_of_each_class(rows: Rows, labels: np.ndarray, shots: int | None) -> Rows:
    """Return the rows, in order, that are among the first `shots` of their class; all for None."""
    if shots is None:
        return rows
    of_row = labels[rows]
    order = np.argsort(of_row, kind="stable")
    _, starts, sizes = np.unique(of_row[order], return_index=True, return_counts=True)
    place = np.empty(len(rows), dtype=np.int64)
    place[order] = np.arange(len(rows)) - np.repeat(starts, sizes)
    return rows[place < shots]


HoldOut = Callable[[np.ndarray, float, np.random.Generator], tuple[Rows, Rows]]
"""Labels (N,) or (N, C), the share to hold out, source of chance -> rows to fit and rows held out."""


def dinov2_split(labels: np.ndarray, fraction: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """DINOv2's: the first of a permutation of all rows by seed 0, whatever their classes."""
    rows = _permutation(len(labels))
    held_out = int(len(rows) * fraction)
    return rows[held_out:], rows[:held_out]


def dinov3_split(labels: np.ndarray, fraction: float, rng: np.random.Generator) -> tuple[Rows, Rows]:
    """DINOv3's: of each class the first in a permutation by seed 0, rounded down, at least one of two or more."""
    rows = _permutation(len(labels))
    shuffled = labels[rows]
    groups = (
        [np.flatnonzero(shuffled == label) for label in np.unique(shuffled)]
        if labels.ndim == 1
        else [np.flatnonzero(column) for column in shuffled.T]
    )
    held_out = np.zeros(len(rows), dtype=bool)
    for group in groups:
        held_out[group[: max(1, int(fraction * len(group))) if len(group) > 1 else 0]] = True
    return rows[~held_out], rows[held_out]


HOLD_OUTS: dict[str, HoldOut] = {"stratified": stratified_split, "dinov2": dinov2_split, "dinov3": dinov3_split}
"""By the setting `hold_out`."""


def _permutation(count: int) -> Rows:
    import torch

    return torch.randperm(count, generator=torch.Generator().manual_seed(0)).numpy()
