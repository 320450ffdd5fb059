"""Shared memory (/dev/shm), of which Docker gives 64 MB: checked before something needs more."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mlcd_eval.errors import ConfigError

FOLDER = Path("/dev/shm")  # noqa: S108 the place itself, not a file in it
PER_RANK = 33 << 20  # bytes: NCCL's largest segment (it names the size where it cannot make one)


def check_shared_memory(needed: int, what: str) -> None:
    """Raise ConfigError if less than `needed` bytes of shared memory are free. what: a plural noun, what needs them."""
    if not FOLDER.is_dir():
        return
    free = shutil.disk_usage(FOLDER).free
    if free < needed:
        raise ConfigError(
            f"{FOLDER}: got {free >> 20} MB of free shared memory, expected {-(-needed >> 20)} MB for {what} "
            "(start the container with `docker run --shm-size=1g` or `--ipc=host`)"
        )


def check_for_nccl(ranks: int) -> None:
    """Raise ConfigError if the GPUs of this machine's ranks could not talk through shared memory."""
    if ranks > 1 and os.environ.get("NCCL_SHM_DISABLE") != "1":
        check_shared_memory(ranks * PER_RANK, f"NCCL between {ranks} ranks")
