"""The order of training samples, computed from the shards' sizes alone: nothing is read to find any position in it.

Shards are dealt to streams, in a new order for each pass. The samples of a stream's shards, one shard after another,
are cut into windows of consecutive samples, and each window is shuffled by itself.
"""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mlcd_train.data.batches import Position

OWN = 100  # substitutes of a sample that are looked for in its own stream


@dataclass(frozen=True)
class Window:
    """Shuffled samples of one pass over a stream: the position of each in the list of the stream's shards, and its row
    in that shard."""

    passes: int
    shards: np.ndarray
    rows: np.ndarray


@dataclass(frozen=True)
class Order:
    """counts: samples of each shard, at least one; streams: their number; window: samples of a stream that are shuffled
    together."""

    counts: tuple[int, ...]
    streams: int
    window: int
    seed: int

    def shards(self, stream: int, passes: int) -> Sequence[int]:
        """The shards of a stream in one pass, in order."""
        return _dealt(len(self.counts), self.seed, passes)[stream :: self.streams]

    def size(self, stream: int, passes: int) -> int:
        """The number of samples of a stream in one pass."""
        return _size(self, stream, passes)

    def advanced(self, stream: int, position: Position, count: int) -> Position:
        """The position `count` samples after a position."""
        passes, taken = position
        while taken + count > (size := self.size(stream, passes)):
            count -= size - taken
            passes, taken = passes + 1, 0
        return passes, taken + count

    def windows(self, stream: int, start: Position) -> Iterator[Window]:
        """The windows of a stream after a position, pass after pass without end; the first may be a part of one."""
        passes, taken = start
        while True:
            counts = np.array([self.counts[shard] for shard in self.shards(stream, passes)], np.int64)
            ends = counts.cumsum()
            size = int(ends[-1])
            while taken < size:
                number = taken // self.window
                first, last = number * self.window, min((number + 1) * self.window, size)
                drawn = first + self._shuffled(stream, passes, number, last - first)[taken - first :]
                shards = ends.searchsorted(drawn, side="right")
                yield Window(passes, shards, drawn - (ends - counts)[shards])
                taken = last
            passes, taken = passes + 1, 0

    def substitutes(self, stream: int, passes: int, shard: int, row: int) -> Iterator[tuple[int, int]]:
        """What replaces a sample that cannot be used, by decreasing preference, as numbers of shards and rows in them.

        They are in the stream's other shards, then, after OWN of them, in all shards. shard: its position in the list
        of the stream's shards. Any rank or worker that asks gets the same.
        """
        own, dealt = self.shards(stream, passes), _dealt(len(self.counts), self.seed, passes)
        for step in itertools.count(1):
            number = own[(shard + step) % len(own)] if step <= OWN else dealt[(shard + step) % len(dealt)]
            yield number, (row + step) % self.counts[number]

    def _shuffled(self, stream: int, passes: int, number: int, size: int) -> np.ndarray:
        text = f"{self.seed} pass {passes} stream {stream} window {number}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "little")
        return np.random.Generator(np.random.PCG64(seed)).random(size).argsort(kind="stable")


@lru_cache(maxsize=4)
def _dealt(count: int, seed: int, passes: int) -> list[int]:
    order = list(range(count))
    random.Random(f"{seed} shards of pass {passes}").shuffle(order)
    return order


@lru_cache(maxsize=1 << 14)
def _size(order: Order, stream: int, passes: int) -> int:
    return sum(order.counts[shard] for shard in order.shards(stream, passes))
