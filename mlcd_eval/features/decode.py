"""From samples to batches of pixels, in order, in this process or in worker processes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import torch

from mlcd_eval.data.base import EncodedImage, Sample
from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.stages import Stages
from mlcd_eval.features.jpegs import OnDevice
from mlcd_eval.features.loading import Loading
from mlcd_eval.features.store import Chunk


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of one chunk.

    last: whether the chunk ends with this batch. samples: without their encoded images. pixels: what `Stages.prepare`
    returns, a row per sample that is not bad. bad: key -> why the image cannot be decoded.
    """

    chunk: Chunk
    last: bool
    samples: Samples
    pixels: torch.Tensor
    bad: dict[str, str]


@dataclass(frozen=True)
class Samples:
    """Keys, labels and captions of samples, in three lists, which are quick to send to another process."""

    keys: list[str]
    labels: list[Any]
    texts: list[list[str]]

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Samples:
        """Return the columns of samples."""
        rows = [(sample.key, sample.label, list(sample.texts)) for sample in samples]
        return cls([key for key, _, _ in rows], [label for _, label, _ in rows], [texts for _, _, texts in rows])

    def __len__(self) -> int:
        return len(self.keys)


def _load(stages: Stages, item: tuple[str, EncodedImage]) -> torch.Tensor:
    key, image = item
    decoded = decode(image, key, stages.jpeg)
    return stages.prepare(decoded if stages.alter is None else stages.alter(decoded, key))


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
    samples: Iterable[tuple[Chunk, Sample]],
    stages: Stages,
    batch_size: int,
    workers: int,
    held: int = 2,
    pinned: bool = False,
    on_device: OnDevice | None = None,
) -> Iterator[Batch]:
    """Decode (chunk, sample) pairs and prepare their pixels. The order does not depend on the number of workers.

    An image that cannot be decoded is reported in `bad`. held, pinned: as in Loading. on_device: prepares the pixels
    instead of `stages` and workers.
    """
    work = (
        ((chunk, last, Samples.of(group)), [(sample.key, sample.image) for sample in group])
        for chunk, last, group in _group(samples, batch_size)
    )
    loading = on_device or Loading(
        partial(_load, stages), stages.shape, stages.dtype, batch_size, workers, held, pinned
    )
    for loaded in loading(work):
        chunk, last, group = loaded.tag
        bad = {group.keys[position]: why for position, why in loaded.bad.items()}
        yield Batch(chunk, last, group, loaded.rows, bad)
