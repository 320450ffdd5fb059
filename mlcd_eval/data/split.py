"""Seeded choices of samples by label."""

from __future__ import annotations

import numpy as np


def stratified_split(labels: np.ndarray, fraction: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(train, val) row indices, each sorted, with about `fraction` of the rows in val.

    labels (N,): `fraction` of each class, rounded so that a class of two or more rows is on both sides; a class of
    one row stays in train. labels (N, C) multi-hot: drawn at random over all rows.
    """
    assert 0 < fraction < 1, fraction
    groups = _by_class(labels) if labels.ndim == 1 else [np.arange(len(labels))]
    val = [rng.permutation(rows)[: _held_out(len(rows), fraction)] for rows in groups]
    in_val = np.zeros(len(labels), dtype=bool)
    in_val[np.concatenate(val) if val else []] = True
    return np.flatnonzero(~in_val), np.flatnonzero(in_val)


def stratified_folds(labels: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Sorted row indices of each fold, at most `count` folds, none empty, whose sizes differ by at most one.

    labels (N,): the rows of a class are in as many folds as possible, so that a class of two or more rows is never in
    one fold only; a class of one row is in none. labels (N, C) multi-hot: drawn at random over all rows.
    """
    groups = _by_class(labels) if labels.ndim == 1 else [np.arange(len(labels))]
    dealt = [rng.permutation(rows) for rows in groups if len(rows) > 1]
    in_turn = np.concatenate(dealt) if dealt else np.empty(0, dtype=np.int64)
    return [np.sort(in_turn[first::count]) for first in range(min(count, len(in_turn)))]


def few_shot(labels: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Sorted indices of k rows of each class of `labels` (N,), all of a class that has fewer."""
    chosen = [rng.permutation(rows)[:k] for rows in _by_class(labels)]
    return np.sort(np.concatenate(chosen)) if chosen else np.empty(0, dtype=np.int64)


def _by_class(labels: np.ndarray) -> list[np.ndarray]:
    """The rows of each class, by ascending class index."""
    order = np.argsort(labels, kind="stable")
    _, starts = np.unique(labels[order], return_index=True)
    return np.split(order, starts[1:]) if len(order) else []


def _held_out(size: int, fraction: float) -> int:
    return 0 if size < 2 else min(max(round(size * fraction), 1), size - 1)
