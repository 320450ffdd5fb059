"""Ranks: start-up under torchrun, gathers that carry gradients, and the mean of gradients.

Every function works without torch.distributed too, as the one rank of a world of one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

BUCKET = 1 << 24  # gradient elements that are averaged in one message


@contextlib.contextmanager
def ranks(device: torch.device) -> Iterator[torch.device]:
    """Join the other processes if torchrun started this one (gloo on CPU, nccl on GPU); yields this rank's device."""
    if "RANK" not in os.environ or dist.is_initialized():
        yield device
        return
    cuda = device.type == "cuda"
    if cuda:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    # the other ranks wait while the first embeds, which may take days
    dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(days=14))
    try:
        yield device
    finally:
        dist.destroy_process_group()


def parallel() -> bool:
    """Whether there are other ranks to talk to."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """This process among the ranks."""
    return dist.get_rank() if parallel() else 0


def world_size() -> int:
    """How many ranks there are."""
    return dist.get_world_size() if parallel() else 1


def barrier() -> None:
    """Wait for all ranks."""
    if parallel():
        dist.barrier()


def broadcast_object(value: Any) -> Any:
    """Rank 0's value, on every rank."""
    if not parallel():
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def gather_objects(value: Any) -> list[Any]:
    """Every rank's value, in the order of ranks, on every rank."""
    if not parallel():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def gather(tensor: Tensor) -> Tensor:
    """Every rank's rows (B, ...), in the order of ranks, without gradient."""
    if not parallel():
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def gather_for_shares(features: Tensor) -> Tensor:
    """All ranks' rows, for a loss to which each rank adds its own share: backward adds the shares' gradients up.

    The gradient is W times the loss's own, since `average_gradients` divides by W.
    """
    return _Gather.apply(features, True) if parallel() else features


def gather_for_whole(features: Tensor) -> Tensor:
    """All ranks' rows, for a loss that every rank computes whole: backward keeps this rank's rows of it, times W."""
    return _Gather.apply(features, False) if parallel() else features


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, shares):  # type: ignore[no-untyped-def]
        ctx.size, ctx.shares = len(features), shares
        return gather(features)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        grad = grad.contiguous()
        if ctx.shares:
            dist.all_reduce(grad)
        begin = rank() * ctx.size
        return world_size() * grad[begin : begin + ctx.size], None


def add_up(share: Tensor) -> Tensor:
    """The sum over ranks; every rank goes on to the same loss, so that the gradient of its share is the sum's."""
    return _Sum.apply(share) if parallel() else share


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, share):  # type: ignore[no-untyped-def]
        total = share.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        return grad


def average_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """The mean over ranks of every gradient, in few large messages; a parameter without gradient is left alone."""
    if not parallel():
        return
    bucket: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is not None:
            bucket.append(parameter.grad)
        if sum(grad.numel() for grad in bucket) >= BUCKET:
            _average(bucket)
            bucket = []
    _average(bucket)


def _average(grads: list[Tensor]) -> None:
    if not grads:
        return
    flat = torch.cat([grad.flatten() for grad in grads])
    dist.all_reduce(flat)
    flat /= world_size()
    for grad, mean in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
        grad.copy_(mean.view_as(grad))
