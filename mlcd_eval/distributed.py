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


@contextlib.contextmanager
def ranks(device: torch.device) -> Iterator[torch.device]:
    """Join the other processes if torchrun started this one (gloo on CPU, nccl on GPU); yields this rank's device."""
    import torch
    import torch.distributed as dist

    if "RANK" not in os.environ or dist.is_initialized():
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


def parallel() -> bool:
    """Whether there are other ranks to talk to."""
    dist = sys.modules.get("torch.distributed")  # else no process group was made
    return dist is not None and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """This process among the ranks."""
    if not parallel():
        return 0
    import torch.distributed as dist

    return dist.get_rank()


def world_size() -> int:
    """How many ranks there are."""
    if not parallel():
        return 1
    import torch.distributed as dist

    return dist.get_world_size()


def barrier() -> None:
    """Wait for all ranks."""
    if not parallel():
        return
    import torch.distributed as dist

    dist.barrier()


def broadcast_object(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    if not parallel():
        return value
    import torch.distributed as dist

    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def gather_objects(value: Any) -> list[Any]:
    """Every rank's value, in the order of ranks, on every rank."""
    if not parallel():
        return [value]
    import torch.distributed as dist

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
