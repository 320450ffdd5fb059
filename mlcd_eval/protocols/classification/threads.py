"""CPU threads in proportion to the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_WORK = 1 << 21  # multiplications in a matrix product for each thread


@contextmanager
def threads_for(multiplications: int) -> Iterator[None]:
    """Use fewer of PyTorch's threads where matrix products are so small that threads would mostly wait for each other:
    a little faster on a quiet machine, many times faster on a busy one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(max(1, min(multiplications // _WORK, before)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
