"""Batches of features that were computed before training, instead of pixels."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np
import torch

from mlcd_train.data.batches import Batch, Positions, Share


def feature_batches(
    keys: Sequence[str],
    features: np.ndarray,
    texts: Sequence[Sequence[str]],
    share: Share,
    seed: int,
    start: Positions | None = None,
) -> Iterator[Batch]:
    """Endless batches of cached features (N, D) and their captions, each pass in a new order, from the position in
    `start`."""
    passes, taken = (start or {}).get(0, (0, 0))
    order = _order(len(keys), seed, passes)
    while True:
        rows: list[tuple[int, int]] = []
        for _ in range(share.batch_size):
            if taken == len(order):
                passes, taken = passes + 1, 0
                order = _order(len(keys), seed, passes)
            rows.append((passes, order[taken]))
            taken += 1
        mine = [rows[place] for place in share.window]
        captions = [random.Random(f"{seed} {p} {keys[row]} caption").choice(texts[row]) for p, row in mine]
        index = [row for _, row in mine]
        images = torch.from_numpy(np.ascontiguousarray(features[index]))
        yield Batch([keys[row] for row in index], images, captions, {0: (passes, taken)})


def _order(count: int, seed: int, passes: int) -> list[int]:
    order = list(range(count))
    random.Random(f"{seed} rows of pass {passes}").shuffle(order)
    return order
