"""Gathers and sums over ranks through which gradients flow, and the mean of gradients over ranks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor

from mlcd_eval.support.distributed import parallel, rank, side_group, world_size

BUCKET = 1 << 24  # gradient elements that are averaged per message


def gather(tensor: Tensor) -> Tensor:
    """Every rank's rows (B, ...), in the order of ranks, without gradient."""
    if not parallel():
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.cat(parts)


def gather_on_host(tensor: Tensor) -> Tensor:
    """Every rank's rows (B, ...) of a tensor of the host, in the order of ranks, without the devices."""
    if not parallel():
        return tensor
    parts = [torch.empty_like(tensor) for _ in range(world_size())]
    dist.all_gather(parts, tensor.contiguous(), group=side_group())
    return torch.cat(parts)


def gather_for_shares(features: Tensor) -> Tensor:
    """All ranks' rows, for a loss to which each rank adds its own share: backward adds the shares' gradients up.

    The result is W times the gradient of the loss, since `average_gradients` divides by W.
    """
    return _Gather.apply(features, world_size()) if parallel() else features


def for_shares(parameter: Tensor) -> Tensor:
    """A parameter that every rank has, for a loss to which each rank adds its own share: its gradient is W times that
    of the share, since `average_gradients` divides by W."""
    copy = parameter.view_as(parameter)
    if copy.requires_grad:
        copy.register_hook(lambda grad: world_size() * grad)
    return copy


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
    if parallel():
        for bucket in _buckets([p for p in parameters if p.grad is not None]):
            _Message(bucket).finish()


class GradientMean:
    """`average_gradients`, sent while backward is still computing the gradients of earlier layers.

    How often backward adds to each parameter's gradient in a step (the parts of a batch) is counted in the first one;
    from the second on, a bucket is sent when its parameters have that many additions. Steps must be alike.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self._parameters = list(parameters)
        self._expected: list[int] | None = None
        self._added = [0] * len(self._parameters)
        self._sent: list[_Message] = []
        self._hooks = []
        if parallel():
            for place, parameter in enumerate(self._parameters):
                hook = partial(self._on_added, place)
                self._hooks.append(parameter.register_post_accumulate_grad_hook(hook))

    def _on_added(self, place: int, parameter: torch.nn.Parameter) -> None:
        self._added[place] += 1
        if self._expected is None:
            return
        while len(self._sent) < len(self._order):  # always in the same order, on every rank
            bucket = self._order[len(self._sent)]
            if any(self._added[place] < self._expected[place] for place in bucket):
                return
            self._sent.append(_Message([self._parameters[place] for place in bucket]))

    def finish(self) -> None:
        """Send what was not sent yet, and write the means into the gradients."""
        if not parallel():
            return
        if self._expected is None:
            self._expected = list(self._added)
            backwards = [place for place in reversed(range(len(self._parameters))) if self._added[place]]
            place_of = {id(self._parameters[place]): place for place in backwards}
            buckets = _buckets([self._parameters[place] for place in backwards])
            self._order = [[place_of[id(parameter)] for parameter in bucket] for bucket in buckets]
            self._sent = [_Message(bucket) for bucket in buckets]
        assert self._added == self._expected and len(self._sent) == len(self._order), "a step unlike the first"
        for message in self._sent:
            message.finish()
        self._sent, self._added = [], [0] * len(self._parameters)

    def close(self) -> None:
        """Leave the parameters as they were."""
        for hook in self._hooks:
            hook.remove()


def _buckets(parameters: Iterable[torch.nn.Parameter]) -> list[list[torch.nn.Parameter]]:
    """Parameters, in order, in groups of about BUCKET numbers."""
    buckets: list[list[torch.nn.Parameter]] = [[]]
    for parameter in parameters:
        if sum(other.numel() for other in buckets[-1]) >= BUCKET:
            buckets.append([])
        buckets[-1].append(parameter)
    return [bucket for bucket in buckets if bucket]


class _Message:
    """The gradients of some parameters on their way to be averaged."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter]) -> None:
        self._grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        self._flat = torch.cat([grad.flatten() for grad in self._grads])
        self._work = dist.all_reduce(self._flat, async_op=True)

    def finish(self) -> None:
        self._work.wait()  # on a GPU only the stream waits
        self._flat /= world_size()
        sizes = [grad.numel() for grad in self._grads]
        for grad, mean in zip(self._grads, self._flat.split(sizes), strict=True):
            grad.copy_(mean.view_as(grad))
