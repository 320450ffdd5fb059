"""From samples to batches of pixels, in order, in this process or in worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from operator import itemgetter

import torch

from mlcd_eval.data.base import EncodedImage, Sample
from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.base import Preprocess
from mlcd_eval.errors import DataError
from mlcd_eval.features.store import Chunk
from mlcd_eval.features.workers import ordered_map


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of one chunk.

    last: whether the chunk ends with this batch. pixels: (B, 3, H, W), a row per sample that is not bad. bad: key ->
    why the image cannot be decoded.
    """

    chunk: Chunk
    last: bool
    samples: list[Sample]
    pixels: torch.Tensor
    bad: dict[str, str]


def _decode(preprocess: Preprocess, images: list[tuple[str, EncodedImage]]) -> tuple[torch.Tensor, dict[str, str]]:
    pixels, bad = [], {}
    for key, image in images:
        try:
            pixels.append(preprocess(decode(image, key)))
        except DataError as error:
            bad[key] = str(error)
    return (torch.stack(pixels) if pixels else torch.empty(0)), bad


def _group(samples: Iterable[tuple[Chunk, Sample]], size: int) -> Iterator[tuple[Chunk, bool, list[Sample]]]:
    """Yield (chunk, whether the chunk ends, samples) in groups of at most `size` consecutive samples of one chunk.

    Groups do not cross chunks, so that a resumed run makes the same groups. The last two groups of a chunk have the
    same size: BLAS sums few rows in another order than many, so that a lone last image would get other last bits.
    """
    for chunk, members in groupby(samples, key=itemgetter(0)):
        stream = (sample for _, sample in members)
        group = list(islice(stream, size))
        while more := list(islice(stream, size)):
            if len(more) < size:
                last_two = group + more
                middle = -(-len(last_two) // 2)
                group, more = last_two[:middle], last_two[middle:]
            yield chunk, False, group
            group = more
        yield chunk, True, group


def batches(
    samples: Iterable[tuple[Chunk, Sample]], preprocess: Preprocess, batch_size: int, workers: int
) -> Iterator[Batch]:
    """Decode and preprocess (chunk, sample) pairs. The order does not depend on the number of workers.

    An image that cannot be decoded is reported in `bad`.
    """
    work = ((group, [(sample.key, sample.image) for sample in group[-1]]) for group in _group(samples, batch_size))
    for group, (pixels, bad) in ordered_map(partial(_decode, preprocess), work, workers):
        yield Batch(*group, pixels, bad)
