"""Batches to train on, streamed from shards: the same for any number of ranks and workers, and after any resumption.

Shards are dealt to streams, in a new order for each pass over the data. A global batch takes an equal part of each
stream, and a rank opens only the streams of its own part. To resume, a position per stream is enough: (passes
completed, samples taken in the current pass). Samples already taken are skipped without being decoded.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mlcd_eval.data.base import Dataset, EncodedImage, Sample, Split
from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError, DataError, IncompatibleError
from mlcd_eval.features.loading import Loading
from mlcd_train.assignment import Labels
from mlcd_train.augment import augmented
from mlcd_train.sections import Augmentation, DataConfig

Position = tuple[int, int]
Positions = Mapping[int, Position]


@dataclass(frozen=True)
class Batch:
    """This rank's part of a global batch. images: (b, 3, H, W) pixels or (b, D) features; texts: one caption per image
    (empty if it has none); after: each stream's position after this batch; bad: for each sample replaced by another,
    what is wrong with its image."""

    keys: Sequence[str]
    images: Tensor
    texts: Sequence[str]
    after: Positions
    bad: Sequence[str] = ()


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


@dataclass(frozen=True)
class _Draw:
    """A sample in one pass; `seed` decides its crop, flip and caption."""

    sample: Sample
    seed: str
    after: Position

    @property
    def caption(self) -> str:
        texts = self.sample.texts
        return random.Random(f"{self.seed} caption").choice(texts) if texts else ""


def pixel_batches(
    split: Split, config: DataConfig, preprocess: Preprocess, share: Share, seed: int, start: Positions | None = None
) -> Iterator[Batch]:
    """Endless augmented batches of a split, from the positions in `start`, by default from the beginning.

    Raises ConfigError if the streams do not fit the batch or the shards, DataError for damaged shards and for more
    undecodable images than `allow_bad_images`.
    """
    check_streams(split, config, share.batch_size)
    size = preprocess.image_size
    load = partial(_load, config.augmentation, preprocess)
    loading = Loading(load, (3, size, size), torch.float32, len(share.window), config.workers)
    seen: set[str] = set()
    for loaded in loading(_work(split, config, share, seed, start)):
        (keys, captions, after), bad = loaded.tag, list(loaded.bad.values())
        seen.update(bad)
        if len(seen) > config.allow_bad_images:
            raise DataError(
                f"training data {split.dataset}: got {len(seen)} images that cannot be decoded, expected at most "
                f"{config.allow_bad_images} (data.allow_bad_images): {'; '.join(bad[:5])}"
            )
        pixels, chosen = _without_gaps(loaded.rows, len(keys), loaded.bad)
        yield Batch([keys[place] for place in chosen], pixels, [captions[place] for place in chosen], after, bad)


def check_streams(split: Split, config: DataConfig, batch_size: int) -> None:
    """Raise ConfigError for more streams than shards, and for streams that do not share the batch equally."""
    if config.streams > len(split.shards):
        raise ConfigError(
            f"data.streams: got {config.streams}, expected at most {len(split.shards)}, the shards of {split.dataset}"
        )
    if batch_size % config.streams:
        raise ConfigError(f"data.streams: got {config.streams}, expected a divisor of batch_size {batch_size}")


_Drawn = tuple[list[str], list[str], dict[int, Position]]
_Item = tuple[str, EncodedImage, str]


def _work(
    split: Split, config: DataConfig, share: Share, seed: int, start: Positions | None
) -> Iterator[tuple[_Drawn, list[_Item]]]:
    """For each batch: the keys and captions that this rank draws, the streams' positions after it, and what a worker
    needs to decode it."""
    part = share.batch_size // config.streams
    mine = {
        stream: [place - stream * part for place in share.window if place // part == stream]
        for stream in {place // part for place in share.window}
    }
    sources = {
        stream: _stream(split, config, seed, stream, (start or {}).get(stream, (0, 0))) for stream in sorted(mine)
    }
    while True:
        draws: list[_Draw] = []
        after = {}
        for stream, source in sources.items():
            next_draws = [next(source) for _ in range(part)]
            draws.extend(next_draws[place] for place in mine[stream])
            after[stream] = next_draws[-1].after
        keys, captions = [draw.sample.key for draw in draws], [draw.caption for draw in draws]
        yield (keys, captions, after), [(draw.sample.key, draw.sample.image, draw.seed) for draw in draws]


def _load(augmentation: Augmentation, preprocess: Preprocess, item: _Item) -> Tensor:
    key, image, seed = item
    return augmented(decode(image, key), random.Random(seed), augmentation, preprocess)


def _without_gaps(pixels: Tensor, size: int, bad: Mapping[int, str]) -> tuple[Tensor, list[int]]:
    """A batch of `size` rows and the place that each row comes from, given the pixels of the images that are not bad:
    each bad one is replaced by the next good image, or the first one at the end of the batch."""
    if not bad:
        return pixels, list(range(size))
    good = [place for place in range(size) if place not in bad]
    if not good:
        raise DataError(f"no image of a batch can be decoded: {'; '.join(list(bad.values())[:5])}")
    chosen = [next((g for g in good if g >= place), good[0]) for place in range(size)]
    row = {place: number for number, place in enumerate(good)}
    return pixels[[row[place] for place in chosen]], chosen


def _stream(split: Split, config: DataConfig, seed: int, stream: int, start: Position) -> Iterator[_Draw]:
    """One stream's samples, pass after pass, after a position."""
    passes, skip = start
    while True:
        order = list(range(len(split.shards)))
        random.Random(f"{seed} shards of pass {passes}").shuffle(order)
        chance = random.Random(f"{seed} pass {passes} stream {stream}")
        samples = (sample for shard in order[stream :: config.streams] for sample in split.shards[shard].samples())
        taken = 0
        for sample in _shuffled(samples, config.shuffle, chance):
            taken += 1
            if taken > skip:
                yield _Draw(sample, f"{seed} {passes} {sample.key}", (passes, taken))
        if taken == 0:
            raise DataError(f"training data {split.dataset}: stream {stream} of {config.streams} holds no sample")
        passes, skip = passes + 1, 0


def _shuffled(samples: Iterator[Sample], size: int, chance: random.Random) -> Iterator[Sample]:
    """The samples, each drawn at random from a buffer of the next `size`."""
    buffer: list[Sample] = []
    for sample in samples:
        buffer.append(sample)
        if len(buffer) > size:
            yield _pop(buffer, chance)
    while buffer:
        yield _pop(buffer, chance)


def _pop(buffer: list[Sample], chance: random.Random) -> Sample:
    place = chance.randrange(len(buffer))
    buffer[place], buffer[-1] = buffer[-1], buffer[place]
    return buffer.pop()


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


def check_captions(dataset: Dataset, why: str) -> None:
    """Raise IncompatibleError unless every sample has captions."""
    if dataset.kind != "retrieval":
        raise IncompatibleError(
            f"{why} needs captions: got the {dataset.kind} dataset {dataset.name}, expected one whose dataset_type.txt "
            f"says retrieval, with a .txt beside every image"
        )


def label_table(labels: Labels) -> Callable[[Sequence[str]], Tensor]:
    """A function from B keys to their classes (B, l), which raises DataError for a key that the label file lacks."""
    row = {key: index for index, key in enumerate(labels.keys)}

    def classes_of(keys: Sequence[str]) -> Tensor:
        missing = [key for key in keys if key not in row]
        if missing:
            raise DataError(f"the label file lacks images of the training data: {', '.join(map(repr, missing[:5]))}")
        return labels.classes[[row[key] for key in keys]]

    return classes_of
