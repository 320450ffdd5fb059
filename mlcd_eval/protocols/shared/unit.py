"""Rows of unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def unit(rows: torch.Tensor) -> torch.Tensor:
    """Return the L2-normalised rows of a tensor (N, D) as float32. Rows of zeros stay zero.

    Each row is first scaled by a power of two, which is exact: squares of 1e20 overflow, and those of 1e-22 vanish.
    """
    import torch

    rows = rows.float()
    exponent = torch.frexp(rows.abs().amax(dim=1, keepdim=True)).exponent.clamp(-126, 126)  # 2 ** -exponent is normal
    return torch.nn.functional.normalize(torch.ldexp(rows, -exponent), dim=1)
