"""Rows of pixels for some consecutive places of every global batch: the work of a rank, or of one of its workers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from torch import Tensor

from mlcd_eval.data.base import Sample
from mlcd_eval.errors import DataError
from mlcd_train.data.batches import Bad, Positions
from mlcd_train.data.decoders import BadImage, Load
from mlcd_train.data.order import Order
from mlcd_train.data.reading import Draw, StreamReader
from mlcd_train.data.source import TrainSplit

TRIES = 200  # substitutes of one sample


class Made(NamedTuple):
    """What was written: the keys and captions of rows, the seeds of their crops, and the bad samples that others
    replace."""

    keys: list[str]
    texts: list[str]
    seeds: list[str]
    bad: list[Bad]


@dataclass(frozen=True)
class Reading:
    """What does not depend on who reads. batch_size: of the global batch."""

    split: TrainSplit
    order: Order
    batch_size: int
    load: Load
    start: Positions

    @property
    def part(self) -> int:
        """Places of a batch that one stream fills."""
        return self.batch_size // self.order.streams

    def streams(self, places: range) -> dict[int, range]:
        """The streams that fill some places of a batch, with the places of each, counted from its first."""
        return {
            stream: range(max(places.start - stream * self.part, 0), min(places.stop - stream * self.part, self.part))
            for stream in range(places.start // self.part, -(-places.stop // self.part))
        }


class Slice:
    """The places of a global batch that one process fills, batch after batch."""

    def __init__(self, reading: Reading, places: range) -> None:
        self._reading = reading
        self._readers = []
        for stream, own in reading.streams(places).items():
            start = reading.start.get(stream, (0, 0))
            reader = StreamReader(reading.split, reading.order, stream, reading.part, own, start)
            self._readers.append((reader, reader.draws(), len(own)))

    def fill(self, rows: Tensor) -> Made:
        """Write the pixels of the next batch's places into rows (places, H, W, 3) uint8.

        Raises DataError for a shard that changed or is damaged, and where no sample can replace a bad one.
        """
        made = Made([], [], [], [])
        for reader, draws, count in self._readers:
            for draw in islice(draws, count):
                key, pixels, text, seed = self._loaded(reader, draw, made.bad)
                rows[len(made.keys)] = pixels
                made.keys.append(key)
                made.texts.append(text)
                made.seeds.append(seed)
        return made

    def _loaded(self, reader: StreamReader, draw: Draw, bad: list[Bad]) -> tuple[str, Tensor, str, str]:
        """Key, pixels, caption and seed of a sample or, where it is bad, of the first good one of its substitutes."""
        why = draw.sample
        if isinstance(why, Sample):
            try:
                return self._load(why, draw.passes)
            except BadImage as error:
                why = error.bad
        bad.append(why)
        for sample in islice(reader.substitutes(draw), TRIES):
            try:
                return self._load(sample, draw.passes)
            except BadImage:
                continue
        raise DataError(f"{why.message}; none of {TRIES} other samples can replace it")

    def _load(self, sample: Sample, passes: int) -> tuple[str, Tensor, str, str]:
        seed = f"{self._reading.order.seed} {passes} {sample.key}"
        pixels = self._reading.load(sample.image, sample.key, random.Random(seed))
        text = ""
        if self._reading.split.captions:
            text = random.Random(f"{seed} caption").choice(sample.texts)
        return sample.key, pixels, text, seed
