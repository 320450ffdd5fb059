"""Samples read in the order of training, for some places of each batch: what a rank, or one of its workers, decodes.

A stream's next window is read while the samples of the one before are handed out, so that a stream holds about one
window of encoded images. Only samples of the reader's own places are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from mlcd_eval.data.base import Sample
from mlcd_train.data.batches import Bad, Position
from mlcd_train.data.order import Order, Window
from mlcd_train.data.shards import Gone, OpenShard
from mlcd_train.data.source import TrainSplit


class Draw(NamedTuple):
    """A sample in one pass, or why it cannot be used. shard: its position in the list of the stream's shards."""

    passes: int
    shard: int
    row: int
    sample: Sample | Bad


@dataclass
class StreamReader:
    """Reads one stream. places: of each `part` consecutive samples, those that are read. start: the position of the
    first part."""

    split: TrainSplit
    order: Order
    stream: int
    part: int
    places: range
    start: Position
    _open: dict[str, tuple[int, OpenShard]] = field(default_factory=dict)
    """The shard that is being read, and the one that the last substitute came from, with their numbers."""

    def draws(self) -> Iterator[Draw]:
        """The samples of the places, part after part, without end. Raises DataError for a shard that changed."""
        windows = self._own_windows()
        current, samples = next(windows), dict[tuple[int, int], Sample | Bad]()
        for _ in self._fill(current, samples):
            pass
        while True:
            following, coming = next(windows), dict[tuple[int, int], Sample | Bad]()
            filling = self._fill(following, coming)
            pace = len(following.rows) / max(1, len(current.rows))
            owed = 0.0
            for shard, row in zip(current.shards.tolist(), current.rows.tolist(), strict=True):
                yield Draw(current.passes, shard, row, samples.pop((shard, row)))
                owed += pace
                while owed >= 1:
                    next(filling, None)
                    owed -= 1
            for _ in filling:
                pass
            current, samples = following, coming

    def substitutes(self, draw: Draw) -> Iterator[Sample]:
        """The samples that may replace one that cannot be used, in order."""
        for number, row in self.order.substitutes(self.stream, draw.passes, draw.shard, draw.row):
            try:
                opened = self._opened("substitute", number)
            except Gone:
                continue
            sample = next(self.split.shards[number].rows(opened, [row]))
            if sample.texts or not self.split.captions:
                yield sample

    def _own_windows(self) -> Iterator[Window]:
        drawn = 0
        for window in self.order.windows(self.stream, self.start):
            place = (drawn + np.arange(len(window.rows))) % self.part
            own = (place >= self.places.start) & (place < self.places.stop)
            drawn += len(window.rows)
            yield Window(window.passes, window.shards[own], window.rows[own])

    def _fill(self, window: Window, samples: dict[tuple[int, int], Sample | Bad]) -> Iterator[None]:
        """Read a window in the order of its files, one sample per step."""
        shards = self.order.shards(self.stream, window.passes)
        for shard in np.unique(window.shards).tolist():
            rows = np.sort(window.rows[window.shards == shard]).tolist()
            number = shards[shard]
            try:
                opened = self._opened("reading", number)
                self.split.shards[shards[(shard + 1) % len(shards)]].shard.prefetch()
                for row, sample in zip(rows, self.split.shards[number].rows(opened, rows), strict=True):
                    samples[shard, row] = self._usable(sample)
                    yield
            except Gone as error:
                for row in rows:
                    samples.setdefault((shard, row), Bad("missing shard", f"sample {row} of {error}"))

    def _usable(self, sample: Sample) -> Sample | Bad:
        if self.split.captions and not sample.texts:
            return Bad("no caption", f"sample {sample.key!r} has no caption")
        return sample

    def _opened(self, use: str, number: int) -> OpenShard:
        """A shard, opened unless it is the last one of this use, which is closed otherwise."""
        last, opened = self._open.get(use, (None, None))
        if last != number or opened is None:
            if opened is not None:
                opened.close()
                del self._open[use]
            opened = self.split.shards[number].shard.opened()
            self._open[use] = number, opened
        return opened
