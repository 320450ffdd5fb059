"""The device and the cores that a run uses."""

from __future__ import annotations

import os
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


def rank_device() -> torch.device:
    """Return the GPU of this process among those that torchrun or a scheduler started on this machine.

    A process that sees a single GPU takes it: schedulers hide the others' from each. Raises ConfigError if this machine
    shows fewer GPUs than it has processes.
    """
    import torch

    local, visible = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if visible > 1 and local >= visible:
        raise ConfigError(
            f"LOCAL_RANK: got {local}, a process's number on a machine where PyTorch sees {visible} GPUs, expected "
            "at most one process per GPU (torchrun --nproc-per-node, CUDA_VISIBLE_DEVICES)"
        )
    return torch.device("cuda", local if visible > 1 else 0)


def usable_cores() -> int:
    """Return this process's share of the cores: those that it may run on, divided by the ranks on this machine."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(1, cores // local_ranks())


def local_ranks() -> int:
    """Return the number of ranks on this machine."""
    return max(1, int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
