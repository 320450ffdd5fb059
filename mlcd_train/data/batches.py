"""What training reads: a rank's part of a global batch, and positions in the streams of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from mlcd_eval.errors import ConfigError

Position = tuple[int, int]
"""Passes completed over a stream, and samples taken in the current pass."""
Positions = Mapping[int, Position]


class Bad(NamedTuple):
    """A sample that cannot be trained on. reason: in two or three words, to count by; message: names the sample."""

    reason: str
    message: str


@dataclass(frozen=True)
class Batch:
    """This rank's part of a global batch. images: (b, 3, H, W) pixels or (b, D) features; texts: one caption per image
    (empty where captions are not read); after: each stream's position after this batch; bad: the samples that others
    replace; seeds: of the images' crops (none where there are no crops)."""

    keys: Sequence[str]
    images: Tensor
    texts: Sequence[str]
    after: Positions
    bad: Sequence[Bad] = ()
    seeds: Sequence[str] = ()


@dataclass(frozen=True)
class Share:
    """The part of each global batch of `batch_size` that a rank takes."""

    batch_size: int
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            raise ConfigError(f"batch_size: got {self.batch_size}, expected a multiple of {self.world_size} ranks")

    @property
    def window(self) -> range:
        """Its positions within a global batch."""
        size = self.batch_size // self.world_size
        return range(self.rank * size, (self.rank + 1) * size)
