"""Several batches in flight: on a CPU in threads, on a GPU one behind the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Generic, TypeVar

import numpy as np
import torch

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.features.forward import Queued

AT_ONCE = 8  # batches in flight on a CPU: with default sizes, as many images as a GPU gets

Item = TypeVar("Item")
Output = TypeVar("Output")

Arrays = dict[str, np.ndarray]


class Overlap(Generic[Item]):
    """Calls a model on batches, several in flight at once.

    On a CPU each batch in flight has a few cores, since cores that share one batch wait for each other after every
    layer; the calling thread reads the next batches. A GPU gets a batch before the results of the one before are
    awaited, so that it never waits for this process. held: batches that are in use at a time; at_once: those
    that are computed at a time.
    """

    def __init__(self, encoder: Encoder) -> None:
        cores = torch.get_num_threads()
        self._on_cuda = encoder.device.type == "cuda"
        self._threads = min(cores, AT_ONCE) if encoder.device.type == "cpu" and encoder.reentrant else 0
        self._cores = cores // max(1, self._threads)
        self.at_once = max(1, self._threads)
        self.held = 2 * self._threads + 2 if self._threads else 3

    def __call__(self, call: Callable[[Item], Queued], batches: Iterable[Item]) -> Iterator[tuple[Item, Arrays]]:
        """Yield (batch, arrays of call(batch)) in order."""
        if self._on_cuda:
            return _one_behind(call, batches)
        if self._threads:
            return _threaded_map(lambda batch: call(batch).arrays(), batches, self._threads, self._cores)
        return ((batch, call(batch).arrays()) for batch in batches)


def _one_behind(call: Callable[[Item], Queued], batches: Iterable[Item]) -> Iterator[tuple[Item, Arrays]]:
    before: tuple[Item, Queued] | None = None
    for batch in batches:
        queued = call(batch)
        if before is not None:
            yield before[0], before[1].arrays()
        before = batch, queued
    if before is not None:
        yield before[0], before[1].arrays()


def _threaded_map(
    function: Callable[[Item], Output], items: Iterable[Item], threads: int, cores: int
) -> Iterator[tuple[Item, Output]]:
    """Yield (item, function(item)) in order. cores: for the PyTorch operations of each thread.

    The calling thread reads the items, at most two per thread ahead.
    """
    before = torch.get_num_threads()
    stream, pending = iter(items), deque[tuple[Item, Future[Output]]]()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(cores,)) as pool:

            def submit(count: int) -> None:
                pending.extend((item, pool.submit(function, item)) for item in islice(stream, count))

            try:
                submit(2 * threads)
                while pending:
                    item, future = pending.popleft()
                    result = future.result()
                    submit(1)
                    yield item, result
            finally:
                for _, future in pending:
                    future.cancel()
    finally:
        torch.set_num_threads(before)  # MKL has a single setting for all threads
