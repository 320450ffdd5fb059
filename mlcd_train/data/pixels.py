"""Batches of augmented pixels: the same for any number of ranks and workers, and after any resumption.

A global batch takes an equal part of each stream, and a rank reads only the streams of its own places. To resume, a
position per stream is enough: nothing that was trained on is read again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing

import torch
from torch import Tensor

from mlcd_eval.encoders.stages import split_preprocess
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError
from mlcd_train.data.batches import Batch, Positions, Share
from mlcd_train.data.decoders import Load
from mlcd_train.data.order import Order
from mlcd_train.data.slices import Made, Reading, Slice
from mlcd_train.data.source import TrainSplit
from mlcd_train.data.tolerance import Tolerance
from mlcd_train.data.workers import Workers, can_fork
from mlcd_train.sections import DataConfig

MOST_STREAMS = 64
AHEAD = 2  # batches that may be on their way to a CUDA device


def num_streams(split: TrainSplit, config: DataConfig, batch_size: int) -> int:
    """The number of streams, by default the largest divisor of the batch that is at most MOST_STREAMS and the number of
    shards: any number of ranks that divides it reads no shard twice.

    Raises ConfigError for more streams than shards, and for streams that do not share the batch equally.
    """
    shards = len(split.shards)
    if config.streams is None:
        return max(n for n in range(1, min(MOST_STREAMS, shards, batch_size) + 1) if batch_size % n == 0)
    if config.streams > shards:
        raise ConfigError(
            f"data.streams: got {config.streams}, expected at most {shards}, the shards of {split.dataset}"
        )
    if batch_size % config.streams:
        raise ConfigError(f"data.streams: got {config.streams}, expected a divisor of batch_size {batch_size}")
    return config.streams


def order_of(split: TrainSplit, config: DataConfig, batch_size: int, seed: int) -> Order:
    """The order of the samples of a split."""
    streams = num_streams(split, config, batch_size)
    counts = tuple(shard.result.num_samples for shard in split.shards)
    return Order(counts, streams, max(1, config.shuffle // streams), seed)


def pixel_batches(
    split: TrainSplit,
    config: DataConfig,
    preprocess: Preprocess,
    share: Share,
    seed: int,
    start: Positions | None = None,
    device: torch.device | None = None,
) -> Iterator[Batch]:
    """Endless augmented batches of a split on a device, from the positions in `start`, by default from the beginning.

    Raises ConfigError if the streams do not fit the batch or the shards, DataError for shards that are damaged or have
    changed and for more bad samples than a share of `allow_bad`.
    """
    order = order_of(split, config, share.batch_size, seed)
    size = preprocess.image_size
    load = Load(config.decoder, config.augmentation, size, config.min_side)
    reading = Reading(split, order, share.batch_size, load, start or {})
    finish = _finisher(preprocess, device or torch.device("cpu"))
    tolerance = Tolerance(split.dataset, split.size, config.allow_bad)
    positions = {stream: reading.start.get(stream, (0, 0)) for stream in reading.streams(share.window)}
    with closing(_rows(reading, share.window, size, config.workers, device)) as made_batches:
        for rows, made in made_batches:
            tolerance.add(made.bad)
            positions = {stream: order.advanced(stream, at, reading.part) for stream, at in positions.items()}
            images = finish(rows)
            del rows
            yield Batch(made.keys, images, made.texts, positions, made.bad, made.seeds)


def _rows(
    reading: Reading, places: range, size: int, workers: int, device: torch.device | None
) -> Generator[tuple[Tensor, Made], None, None]:
    if not workers or not can_fork():
        alone = Slice(reading, places)
        while True:
            rows = torch.empty((len(places), size, size, 3), dtype=torch.uint8)
            yield rows, alone.fill(rows)
    team = Workers(reading, places, (size, size, 3), workers)
    try:
        if device is not None and device.type == "cuda":
            team.pin()
        yield from team.batches()
    finally:
        team.close()


def _finisher(preprocess: Preprocess, device: torch.device) -> Callable[[Tensor], Tensor]:
    """A function from rows (b, H, W, 3) uint8 to pixels (b, 3, H, W) float32 on the device, equal to the checkpoint's
    own normalisation bit for bit."""
    stages = split_preprocess(preprocess)
    assert stages is not None, "the transform of our own checkpoints can be split"
    stages = stages.to(device)
    if device.type != "cuda":
        return lambda rows: stages.finish(rows).contiguous()
    coming: deque[tuple[Tensor, torch.cuda.Event]] = deque()

    def upload(rows: Tensor) -> Tensor:
        pixels = stages.finish(rows.to(device, non_blocking=True)).contiguous()
        copied = torch.cuda.Event()
        copied.record()
        coming.append((rows, copied))  # the rows' memory must not be written before they are copied
        while len(coming) > AHEAD:
            coming.popleft()[1].synchronize()
        return pixels

    return upload
