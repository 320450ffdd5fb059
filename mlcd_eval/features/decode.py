"""From samples to pixel tensors, in this process or in worker processes, in order."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch
import torch.multiprocessing  # registers shared memory for tensors that workers return

from mlcd_eval.data.base import EncodedImage, Sample
from mlcd_eval.data.images import decode
from mlcd_eval.encoders.base import Preprocess
from mlcd_eval.errors import DataError

_preprocess: Preprocess | None = None  # of a worker process


@dataclass(frozen=True)
class Batch:
    """Consecutive samples of one shard. pixels: (len(samples), 3, H, W); bad: key -> why it has no row in pixels."""

    shard: int
    samples: list[Sample]
    pixels: torch.Tensor
    bad: dict[str, str]


def _start_worker(preprocess: Preprocess) -> None:
    global _preprocess
    _preprocess = preprocess
    torch.set_num_threads(1)  # a forked OpenMP pool would hang, and the parallelism is over images


def _decode_in_worker(images: list[tuple[str, EncodedImage]]) -> tuple[torch.Tensor, dict[str, str]]:
    assert _preprocess is not None
    return _decode(images, _preprocess)


def _decode(images: list[tuple[str, EncodedImage]], preprocess: Preprocess) -> tuple[torch.Tensor, dict[str, str]]:
    pixels, bad = [], {}
    for key, image in images:
        try:
            pixels.append(preprocess(decode(image, key)))
        except DataError as error:
            bad[key] = str(error)
    return (torch.stack(pixels) if pixels else torch.empty(0)), bad


def _group(samples: Iterable[tuple[int, Sample]], size: int) -> Iterator[tuple[int, list[Sample]]]:
    """Groups of at most `size` consecutive samples that do not cross shards, so that a resumed run makes the same."""
    shard, group = -1, list[Sample]()
    for number, sample in samples:
        if group and (number != shard or len(group) == size):
            yield shard, group
            group = []
        shard = number
        group.append(sample)
    if group:
        yield shard, group


def batches(
    samples: Iterable[tuple[int, Sample]], preprocess: Preprocess, batch_size: int, workers: int
) -> Iterator[Batch]:
    """Decode and preprocess (shard number, sample) pairs; the order is kept whatever the number of workers.

    At most two batches a worker are under way at once. An image that cannot be decoded is reported in `bad`.
    """
    groups = _group(samples, batch_size)
    if workers == 0:
        for shard, group in groups:
            pixels, bad = _decode([(sample.key, sample.image) for sample in group], preprocess)
            yield Batch(shard, group, pixels, bad)
        return
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(preprocess,)) as pool:
        pending: deque[tuple[int, list[Sample], Future[tuple[torch.Tensor, dict[str, str]]]]] = deque()

        def submit(count: int) -> None:
            for shard, group in islice(groups, count):
                images = [(sample.key, sample.image) for sample in group]
                pending.append((shard, group, pool.submit(_decode_in_worker, images)))

        try:
            submit(2 * workers)
            while pending:
                shard, group, future = pending.popleft()
                pixels, bad = future.result()
                submit(1)
                yield Batch(shard, group, pixels, bad)
        finally:
            for _, _, future in pending:
                future.cancel()
