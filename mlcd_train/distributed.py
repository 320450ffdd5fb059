"""Gathers and sums over ranks through which gradients flow, and the mean of gradients over ranks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

from mlcd_eval.support.distributed import parallel, rank, world_size

BUCKET = 1 << 24  # gradient elements that are averaged per message


def gather(tensor: Tensor) -> Tensor:
    """Every rank's rows (B, ...), in the order of ranks, without gradient."""
    if not parallel():
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def gather_for_shares(features: Tensor) -> Tensor:
    """All ranks' rows, for a loss to which each rank adds its own share: backward adds the shares' gradients up.

    The result is W times the gradient of the loss, since `average_gradients` divides by W.
    """
    return _Gather.apply(features, world_size()) if parallel() else features


def gather_for_mean(features: Tensor) -> Tensor:
    """All ranks' rows, for a loss that is the mean of the ranks' losses: backward adds the ranks' gradients up, and
    `average_gradients` divides the sum by W."""
    return _Gather.apply(features, 1) if parallel() else features


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, factor):  # type: ignore[no-untyped-def]
        ctx.size, ctx.factor = len(features), factor
        return gather(features)

    @staticmethod
    def backward(ctx, grad):  # type: ignore[no-untyped-def]
        grad = grad.contiguous()
        dist.all_reduce(grad)
        begin = rank() * ctx.size
        return ctx.factor * grad[begin : begin + ctx.size], None


def add_up(share: Tensor) -> Tensor:
    """The sum over ranks. Every rank computes the same loss from it, so that the gradient of a rank's share is the
    gradient of the sum."""
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
    """Replace every gradient by its mean over ranks, in a few large messages. A parameter without gradient is left
    alone."""
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
