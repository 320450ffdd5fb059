"""Rows of unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def unit_rows(array: np.ndarray, device: str) -> torch.Tensor:
    """Return the L2-normalised rows of array (N, D), float32 on the device. Rows of zeros stay zero."""
    import torch

    return unit(torch.tensor(array, dtype=torch.float32, device=device))


def unit(rows: torch.Tensor) -> torch.Tensor:
    """Return the L2-normalised rows of a tensor (N, D) as float32, as `unit_rows`.

    Each row is first scaled by a power of two, which is exact: squares of 1e20 overflow, and those of 1e-22 vanish.
    """
    import torch

    rows = rows.float()
    exponent = torch.frexp(rows.abs().amax(dim=1, keepdim=True)).exponent.clamp(-126, 126)  # 2 ** -exponent is normal
    return torch.nn.functional.normalize(torch.ldexp(rows, -exponent), dim=1)
