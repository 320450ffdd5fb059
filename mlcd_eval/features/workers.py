"""Mapping a function over a stream of items, in order, in worker processes or threads."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import torch
import torch.multiprocessing  # registers shared memory for tensors that workers return

from mlcd_eval.support.device import usable_cores

T = TypeVar("T")
R = TypeVar("R")

_function: Callable[..., Any] | None = None  # set in a worker process


def default_workers(device: torch.device, cores: int | None = None) -> int:
    """Return the default number of decoding processes. cores: None means this process's share of the machine's.

    With a GPU all cores but one, at most 16. With a CPU two, or none below four cores, since the threads of the forward
    pass would wait for them.
    """
    cores = cores or usable_cores()
    if device.type == "cuda":
        return min(16, max(1, cores - 1))
    return 2 if cores >= 4 else 0


def _start_worker(function: Callable[..., Any]) -> None:
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and the parent ends its workers
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(1)  # a forked OpenMP pool would hang, and items are processed in parallel anyway


def _leave_with_parent() -> None:
    """Exit when the parent dies: a killed parent cannot end its workers, which would wait for ever with its locks."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _call(item: Any) -> Any:
    assert _function is not None
    return _function(item)


def ordered_map(function: Callable[[R], Any], items: Iterable[tuple[T, R]], workers: int) -> Iterator[tuple[T, Any]]:
    """Yield (tag, function(work)) for each (tag, work), in order. workers: 0 means this process.

    function: picklable, sent to each worker once. At most two items per worker are in flight, so that a stream is read
    only as fast as it is consumed.
    """
    if workers == 0:
        yield from ((tag, function(work)) for tag, work in items)
        return
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(function,)) as pool:
        yield from _in_order(pool, _call, items, 2 * workers)


def threaded_map(function: Callable[[R], T], items: Iterable[R], threads: int, cores: int) -> Iterator[tuple[R, T]]:
    """Yield (item, function(item)) in order. cores: for the PyTorch operations of each thread.

    The calling thread reads the items, at most two per thread ahead.
    """
    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(cores,)) as pool:
            yield from _in_order(pool, function, ((item, item) for item in items), 2 * threads)
    finally:
        torch.set_num_threads(before)  # MKL has a single setting for all threads


def _in_order(
    pool: Executor, function: Callable[[R], Any], items: Iterable[tuple[T, R]], ahead: int
) -> Iterator[tuple[T, Any]]:
    stream = iter(items)
    pending: deque[tuple[T, Future[Any]]] = deque()

    def submit(count: int) -> None:
        pending.extend((tag, pool.submit(function, work)) for tag, work in islice(stream, count))

    try:
        submit(ahead)
        while pending:
            tag, future = pending.popleft()
            result = future.result()
            submit(1)
            yield tag, result
    finally:
        for _, future in pending:
            future.cancel()
