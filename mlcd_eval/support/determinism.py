"""The same bits in every run on the same GPU, where PyTorch has them: docs/gpu.md says for which stages."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

WORKSPACE = ":4096:8"


@contextlib.contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Within the block, let PyTorch choose operations that add in a fixed order: sums of sorted segments, for example,
    instead of atomics. Without `wanted` nothing changes.

    Where PyTorch has none it raises RuntimeError, which names the operation; with warnings instead of errors it would
    leave the backward pass of attention in no fixed order.

    cuBLAS reads CUBLAS_WORKSPACE_CONFIG when it starts, so that the block should begin before the first product.
    """
    if not wanted:
        yield
        return
    import torch

    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", WORKSPACE)
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.deterministic = cudnn
