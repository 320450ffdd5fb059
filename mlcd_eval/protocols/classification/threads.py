"""CPU threads in proportion to the amount of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_WORK = 1 << 21  # multiplications per thread in a matrix product
_SMALL = 1 << 24  # numbers (64 MB) of a problem: one that is larger keeps all threads busy alone, and takes memory


@contextmanager
def threads_for(multiplications: int) -> Iterator[None]:
    """Use fewer of PyTorch's threads in the block if its matrix products are so small that threads would mostly wait.

    This is slightly faster on a quiet machine and many times faster on a busy one.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(multiplications // _WORK, before)))
    try:
        yield
    finally:
        torch.set_num_threads(before)


def workers_for(size: int, device: str) -> int:
    """How many independent problems of `size` numbers to solve at a time."""
    import torch

    return torch.get_num_threads() if device == "cpu" and size <= _SMALL else 1


def in_threads(function: Callable[[Item], Result], items: Sequence[Item], workers: int) -> Iterator[Result]:
    """Yield the results of independent problems in their order, as many at a time as there are workers, each with one
    of PyTorch's threads if there are several. What is raised ends the others before they begin."""
    import torch

    if workers == 1:
        yield from map(function, items)
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # new threads begin with as many
    pool = ThreadPoolExecutor(workers)
    try:
        yield from pool.map(function, items)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
