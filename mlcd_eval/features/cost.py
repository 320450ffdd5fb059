"""What one image costs a model: floating-point operations, and the parameters that are read for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """flops: of one image by torch's FlopCounterMode, which counts matrix products and convolutions, a multiplication
    with its addition as two (papers often count it as one). parameters: of the part of the model that an image passes
    through. Both None where PyTorch does not see the work."""

    flops: int | None
    parameters: int | None


def cost_of(call: Callable[[], object]) -> Cost:
    """Return the cost of a call that encodes one image."""
    counter, reads = FlopCounterMode(display=False), _Reads()
    with _plain_kernels(), counter, reads:
        call()
    return Cost(counter.get_total_flops() or None, reads.count or None)


class _Reads(TorchDispatchMode):
    """Notes which parameters are operands."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[int, torch.nn.Parameter] = {}

    @property
    def count(self) -> int:
        """How many numbers the parameters have."""
        return sum(parameter.numel() for parameter in self._seen.values())

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Iterable[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Note the operands and do what was asked."""
        self._note(args)
        self._note((kwargs or {}).values())
        return func(*args, **(kwargs or {}))

    def _note(self, operands: Iterable[Any]) -> None:
        for operand in operands:
            if isinstance(operand, torch.nn.Parameter):
                self._seen[id(operand)] = operand
            elif isinstance(operand, (list, tuple)):
                self._note(operand)


@contextlib.contextmanager
def _plain_kernels() -> Iterator[None]:
    """Have attention done by matrix products in the block: the counter does not see into all of its fused kernels."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
