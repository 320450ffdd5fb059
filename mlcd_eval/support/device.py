"""The device that a run uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlcd_eval.errors import ConfigError

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu` or `cuda`; `auto` is CUDA where PyTorch sees it.

    Raises ConfigError if `cuda` is missing.
    """
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda: got a machine where PyTorch sees no CUDA device, expected one (or --device cpu)"
        )
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
