"""CPU threads in proportion to the amount of work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

_WORK = 1 << 21  # multiplications per thread in a matrix product


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
