"""Batches of rows loaded from items, in this process or by worker processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from mlcd_eval.errors import DataError
from mlcd_eval.features.ring import Ring
from mlcd_eval.features.workers import PART, Loaded, Pipeline, stacked

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True)
class Loading(Generic[Item]):
    """How items become rows of batches.

    load: item -> tensor of this shape and dtype (others work, by a slower way); raises DataError for a bad item.
    batch_size: the most items of a batch. workers: processes that load; 0, or a system without `fork`: the calling
    process does. held: batches that the consumer holds at a time. pinned: whether rows are copied to a CUDA device.
    """

    load: Callable[[Item], torch.Tensor]
    shape: tuple[int, ...]
    dtype: torch.dtype
    batch_size: int
    workers: int
    held: int = 2
    pinned: bool = False

    def __call__(self, batches: Iterable[tuple[T, Sequence[Item]]]) -> Iterator[Loaded[T]]:
        """Yield each (tag, items) as a Loaded, in order. batches: read only as fast as the results are consumed."""
        if self.workers == 0 or "fork" not in multiprocessing.get_all_start_methods():
            yield from (self._loaded(tag, items) for tag, items in batches)
            return
        decoding = -(-2 * self.workers * PART // self.batch_size)
        ring = Ring(self.held + 1 + decoding, self.batch_size, self.shape, self.dtype)
        pipeline = Pipeline(self.load, batches, ring, self.workers)
        try:
            if self.pinned:
                ring.pin()
            yield from pipeline.results()
        finally:
            pipeline.close()
            ring.unpin()

    def _loaded(self, tag: T, items: Sequence[Item]) -> Loaded[T]:
        rows, bad = [], {}
        for position, item in enumerate(items):
            try:
                rows.append(self.load(item))
            except DataError as error:
                bad[position] = str(error)
        return Loaded(tag, stacked(rows), bad)
