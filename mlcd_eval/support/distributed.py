"""Ranks: start-up under torchrun, and what they tell each other. Without torchrun, the one rank of a world of one."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from mlcd_eval.errors import UserError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def under_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "RANK" in os.environ


@contextlib.contextmanager
def ranks(device: torch.device) -> Iterator[torch.device]:
    """Join the other processes if torchrun started this one (gloo on CPU, nccl on GPU); yields this rank's device."""
    import torch
    import torch.distributed as dist

    if not under_torchrun() or dist.is_initialized():
        yield device
        return
    cuda = device.type == "cuda"
    if cuda:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    # some ranks wait while another works alone, which may take days
    dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(days=14))
    try:
        yield device
    finally:
        dist.destroy_process_group()


def _joined() -> Any:
    """torch.distributed where there are other ranks to talk to, else None; it is not imported to find that out."""
    dist = sys.modules.get("torch.distributed")
    found = dist is not None and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return dist if found else None


def parallel() -> bool:
    """Whether there are other ranks to talk to."""
    return _joined() is not None


def rank() -> int:
    """This process among the ranks."""
    dist = _joined()
    return dist.get_rank() if dist else 0


def world_size() -> int:
    """How many ranks there are."""
    dist = _joined()
    return dist.get_world_size() if dist else 1


def barrier() -> None:
    """Wait for all ranks."""
    if dist := _joined():
        dist.barrier()


def broadcast_object(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    dist = _joined()
    if dist is None:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def gather_objects(value: Any) -> list[Any]:
    """Every rank's value, in the order of ranks, on every rank."""
    dist = _joined()
    if dist is None:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def on_every_rank(work: Callable[[], T]) -> list[T]:
    """What `work` gives on each rank, on every rank; what it raises on one is raised on all, for they would wait."""
    result, problem = None, None
    try:
        result = work()
    except Exception as error:
        problem = error
    plain = problem is None or isinstance(problem, (UserError, OSError))
    told = problem if plain else RuntimeError(f"rank {rank()}: {type(problem).__name__}: {problem}")
    found = gather_objects((result, told))
    if problem is not None:
        raise problem
    for _, other in found:
        if other is not None:
            raise other
    return [one for one, _ in found]
