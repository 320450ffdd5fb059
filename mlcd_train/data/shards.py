"""What a shard of training data is: its samples by row, counted before training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mlcd_eval.data.base import Sample, Shard, ShardScan
from mlcd_eval.errors import DataError


class Gone(DataError):
    """A shard that was there when it was scanned is missing."""


@dataclass(frozen=True)
class TrainScan:
    """fingerprint: hex digest that identifies the contents. num_samples: those with an image. without_caption: how many
    of them have no caption, None where they were not read."""

    fingerprint: str
    num_samples: int
    without_caption: int | None = None


class TrainShard(Protocol):
    """A part of the training data that is read by row. Ranks share scans: `scanned` comes before samples are read."""

    name: str

    def scan(self) -> TrainScan:
        """Count the samples and identify the contents; raises DataError."""

    def scanned(self, scan: TrainScan) -> None:
        """Take the result of a scan."""

    def samples(self) -> Iterator[Sample]:
        """All samples in order; raises DataError."""

    def opened(self) -> OpenShard:
        """The shard for reading by row. Raises DataError, Gone for a shard that is no longer there."""

    def prefetch(self) -> None:
        """Prepare to be opened soon."""


class OpenShard(Protocol):
    """A shard that one reader reads."""

    def rows(self, wanted: Sequence[int]) -> Iterator[Sample]:
        """The samples of some rows; raises DataError."""

    def close(self) -> None:
        """Free what reading holds."""


class SequentialShard:
    """A shard of mlcd-eval's, whose samples come in one order."""

    def __init__(self, shard: Shard) -> None:
        self.name, self._shard = shard.name, shard

    def scan(self) -> TrainScan:
        """The shard's own scan; raises DataError where only reading the whole shard would count it."""
        scan = self._shard.scan()
        if scan.num_samples is None:
            raise DataError(f"{self.name} does not say how many samples it holds, expected tars: or a local copy")
        return TrainScan(scan.fingerprint, scan.num_samples)

    def scanned(self, scan: TrainScan) -> None:
        """Nothing is kept."""

    def samples(self) -> Iterator[Sample]:
        """All samples in order."""
        return self._shard.samples()

    def opened(self) -> OpenSequence:
        """The shard for reading by row."""
        return OpenSequence(self._shard)

    def prefetch(self) -> None:
        """Nothing to prepare."""


class OpenSequence:
    """Rows after those that were read last are read on from there, others from the beginning."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self._stream, self._next = iter(shard.samples()), 0

    def rows(self, wanted: Sequence[int]) -> Iterator[Sample]:
        """The samples of some rows."""
        for row in wanted:
            if row < self._next:
                self._stream, self._next = iter(self._shard.samples()), 0
            for sample in self._stream:
                self._next += 1
                if self._next > row:
                    yield sample
                    break
            else:
                raise DataError(f"{self._shard.name} changed since it was scanned: it has no sample {row}")

    def close(self) -> None:
        """Nothing is held open."""


@dataclass
class ScannedShard:
    """A training shard as a shard of mlcd-eval's, whose features can be stored. captioned: without the samples that
    have no caption. prefix: what keys begin with, so that those of several data sets differ."""

    shard: TrainShard
    result: TrainScan
    captioned: bool = False
    prefix: str = ""

    def __post_init__(self) -> None:
        self.name = self.shard.name

    def scan(self) -> ShardScan:
        """The scan that ranks share."""
        return ShardScan(self.result.fingerprint, self.result.num_samples)

    def samples(self) -> Iterator[Sample]:
        """The samples in order."""
        return (self._named(sample) for sample in self.shard.samples() if sample.texts or not self.captioned)

    def rows(self, opened: OpenShard, wanted: Sequence[int]) -> Iterator[Sample]:
        """The samples of some rows of the opened shard, those without a caption too."""
        return map(self._named, opened.rows(wanted))

    def _named(self, sample: Sample) -> Sample:
        return replace(sample, key=self.prefix + sample.key) if self.prefix else sample
