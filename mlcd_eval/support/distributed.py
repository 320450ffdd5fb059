"""Start-up under torchrun, and communication between ranks. Without torchrun there is one rank in a world of one."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from mlcd_eval.errors import ConfigError, UserError
from mlcd_eval.support.device import local_ranks, rank_device
from mlcd_eval.support.shared_memory import check_for_nccl

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

ARRIVE = timedelta(minutes=5)
"""Time for all ranks to start and find each other."""
TOGETHER = timedelta(minutes=15)
"""Time that ranks which work in step, as in a training, wait for each other."""
ALONE = timedelta(days=14)
"""Time that ranks wait in this module's functions, where one of them may work alone or have the larger share."""

_patient: Any = None
"""The process group of this module's functions, of gloo, so that waiting takes no GPU; None for the default one."""


def under_torchrun() -> bool:
    """Return whether torchrun started this process."""
    return "RANK" in os.environ


@contextlib.contextmanager
def ranks(device: torch.device) -> Iterator[torch.device]:
    """Join the other processes if torchrun started this one (gloo on CPU, nccl on GPU); yield this rank's device."""
    import torch
    import torch.distributed as dist

    if not under_torchrun() or dist.is_initialized():
        yield device
        return
    cuda = device.type == "cuda"
    if cuda:
        device = rank_device()
        check_for_nccl(local_ranks())
        torch.cuda.set_device(device)
    store, rank, size = _arrived(_identity(device))
    dist.init_process_group(
        "nccl" if cuda else "gloo",
        store=store,
        rank=rank,
        world_size=size,
        timeout=TOGETHER,
        device_id=device if cuda else None,
    )
    global _patient
    _patient = dist.new_group(timeout=ALONE, backend="gloo")
    try:
        yield device
    finally:
        _patient = None
        dist.destroy_process_group()


def _identity(device: torch.device) -> str:
    """Return what no two ranks may share: a GPU; empty on a CPU."""
    import torch

    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None) if device.type == "cuda" else None
    return "" if uuid is None else f"GPU {uuid} of {socket.gethostname()}"


def _arrived(identity: str = "") -> tuple[Any, int, int]:
    """Return the store in which all ranks have arrived, this rank and the number of ranks. identity: this rank's.

    After a restart torchrun may hand out the store of the attempt before, with the addresses of its dead ranks: each
    attempt has names of its own in it. Raises ConfigError, naming them, if ranks do not arrive or share a GPU.
    """
    import torch.distributed as dist

    address = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
    try:
        shared, rank, size = next(dist.rendezvous("env://", timeout=ARRIVE))
    except (dist.DistStoreError, dist.DistNetworkError) as error:
        raise ConfigError(f"torchrun: the ranks did not meet at {address} within {ARRIVE}: {error}") from error
    store = dist.PrefixStore(f"attempt {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", shared)
    _meet(store, rank, size, identity)
    return store, rank, size


def _meet(store: Any, rank: int, size: int, identity: str) -> None:
    import torch.distributed as dist

    store.set(f"rank {rank}", identity)
    names = [f"rank {number}" for number in range(size)]
    try:
        store.wait(names, ARRIVE)
    except dist.DistStoreError as error:
        missing = ", ".join(name for name in names if not store.check([name]))
        raise ConfigError(f"torchrun: {missing} did not start within {ARRIVE}, expected all {size} ranks") from error
    first: dict[str, str] = {}
    for name in names:
        theirs = store.get(name).decode()
        if theirs and first.setdefault(theirs, name) != name:
            raise ConfigError(
                f"torchrun: {first[theirs]} and {name} see only {theirs}, expected at most one process per GPU "
                "(torchrun --nproc-per-node, CUDA_VISIBLE_DEVICES)"
            )


def _parallel_backend() -> Any:
    """Return torch.distributed if there are other ranks, else None. Checking does not import it."""
    dist = sys.modules.get("torch.distributed")
    usable = dist is not None and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    return dist if usable else None


def side_group() -> Any:
    """Return the process group for tensors of the host, None for the default one."""
    return _patient


def parallel() -> bool:
    """Return whether there are other ranks."""
    return _parallel_backend() is not None


def rank() -> int:
    """Return the number of this process among the ranks."""
    dist = _parallel_backend()
    return dist.get_rank() if dist else 0


def world_size() -> int:
    """Return the number of ranks."""
    dist = _parallel_backend()
    return dist.get_world_size() if dist else 1


def new_side_group() -> Any:
    """Return one more group of all ranks for tensors of the host, for messages of another thread; None without other
    ranks. Every rank must call this."""
    dist = _parallel_backend()
    return dist.new_group(timeout=ALONE, backend="gloo") if dist else None


def barrier() -> None:
    """Wait for all ranks."""
    wait_in(_patient)


def wait_in(group: Any) -> None:
    """Wait for all ranks, by messages in a group."""
    if dist := _parallel_backend():
        dist.barrier(group=group)


def broadcast_object(value: Any) -> Any:
    """Return rank 0's value, on every rank."""
    dist = _parallel_backend()
    if dist is None:
        return value
    box = [value]
    dist.broadcast_object_list(box, group=_patient)
    return box[0]


def gather_objects(value: Any) -> list[Any]:
    """Return every rank's value, in the order of ranks, on every rank."""
    dist = _parallel_backend()
    if dist is None:
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value, group=_patient)
    return values


def on_every_rank(work: Callable[[], T]) -> list[T]:
    """Call `work` on each rank and return all results on every rank.

    What one rank raises is raised on all of them, since the others would wait for it for ever.
    """
    result, failure = None, None
    try:
        result = work()
    except Exception as error:
        failure = error
    as_is = failure is None or isinstance(failure, (UserError, OSError))
    shared = failure if as_is else RuntimeError(f"rank {rank()}: {type(failure).__name__}: {failure}")
    outcomes = gather_objects((result, shared))
    if failure is not None:
        raise failure
    for _, other in outcomes:
        if other is not None:
            raise other
    return [rank_result for rank_result, _ in outcomes]
