"""Samples read in the order of training, for some places of each batch: what a rank, or one of its workers, decodes.

A stream's next window is read while the samples of the one before are handed out, so that a stream holds about one
window of encoded images. Only samples of the reader's own places are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from mlcd_eval.data.base import Sample
from mlcd_train.data.batches import Bad, Position
from mlcd_train.data.order import Order, Window
from mlcd_train.data.shards import Gone
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
    _reading: int | None = None  # the shard that is being read, which stays open
    _spare: int | None = None  # the shard that a substitute came from

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
            if number != self._spare and self._spare not in (None, self._reading):
                self.split.shards[self._spare].shard.close()
            self._spare = number
            try:
                sample = next(self.split.shards[number].rows([row]))
            except Gone:
                continue
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
            self._turn_to(shards[shard], shards[(shard + 1) % len(shards)])
            try:
                for row, sample in zip(rows, self.split.shards[shards[shard]].rows(rows), strict=False):
                    samples[shard, row] = self._usable(sample)
                    yield
            except Gone as error:
                for row in rows:
                    samples.setdefault((shard, row), Bad("missing shard", f"sample {row} of {error}"))

    def _usable(self, sample: Sample) -> Sample | Bad:
        if self.split.captions and not sample.texts:
            return Bad("no caption", f"sample {sample.key!r} has no caption")
        return sample

    def _turn_to(self, number: int, following: int) -> None:
        if number == self._reading:
            return
        if self._reading not in (None, self._spare):
            self.split.shards[self._reading].shard.close()
        self._reading = number
        if following != number:
            self.split.shards[following].shard.prefetch()
