"""Patches of train with the shares of their classes, from which patches of other images take theirs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.segmentation.tokens import Images, class_shares
from mlcd_eval.protocols.shared.unit import unit

BATCH = 1 << 25  # cosines held at a time


@dataclass(frozen=True)
class Memory:
    """keys (M, D): unit patches; shares (M, C): of their classes. Both are float32 on one device."""

    keys: Tensor
    shares: Tensor

    def __len__(self) -> int:
        return len(self.keys)

    def mixed(self, patches: Tensor, k: int, temperature: float) -> Tensor:
        """Return the shares (h, w, C) of patches (h, w, D): those of the k nearest by cosine, weighted by the softmax
        of the cosines over the temperature; of all where there are fewer than k."""
        queries = unit(patches.reshape(-1, patches.shape[-1]))
        found = []
        for part in queries.split(max(1, BATCH // len(self))):
            near = (part @ self.keys.T).topk(min(k, len(self)), dim=1)
            weights = (near.values / temperature).softmax(dim=1)
            found.append(torch.einsum("qk,qkc->qc", weights, self.shares[near.indices]))
        return torch.cat(found).reshape(*patches.shape[:2], -1)


def memory_of(
    images: Images, num_classes: int, most: int, chance: np.random.Generator, device: str
) -> tuple[Memory, int]:
    """Return the patches of known class, or as many as `most` of them, drawn without replacement, and how many are
    known. Only these are read. Raises IncompatibleError where none is known."""
    count = len(images.annotations)

    def shares_of(row: int) -> NDArray[np.float32]:
        return class_shares(images.annotations[row].pixels(), images.layout, num_classes)

    known = np.flatnonzero(np.stack([shares_of(row).any(axis=2) for row in range(count)]))
    if not len(known):
        raise IncompatibleError(
            f"patches cannot take classes from train: got {count} images of which no patch has a class, expected some"
        )
    drawn = known if len(known) <= most else np.sort(chance.choice(known, most, replace=False))
    image, row, column = np.unravel_index(drawn, (count, *images.grid))
    keys = np.asarray(images.array[image, row, column], np.float32)
    of_drawn = np.empty((len(drawn), num_classes), np.float32)
    starts = np.searchsorted(image, np.arange(count + 1))  # the drawn ones are in order
    for each, (begin, end) in enumerate(pairwise(starts)):
        if begin < end:
            of_drawn[begin:end] = shares_of(each)[row[begin:end], column[begin:end]]
    return Memory(unit(torch.from_numpy(keys).to(device)), torch.from_numpy(of_drawn).to(device)), len(known)
