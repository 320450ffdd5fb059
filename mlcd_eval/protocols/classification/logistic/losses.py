"""Losses of logits and their derivatives, in float32 at full relative precision."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = -60.0  # smallest logit kept: smaller ones give subnormal numbers, which are slow and change nothing


def softmax_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed cross entropy of logits (C, B) and labels (1, B), and probability - one-hot (C, B).

    The logits are overwritten. The true class's residual is minus the sum of the others, and the loss uses log1p, so
    that float32 keeps its relative precision even if the probability rounds to 1.
    """
    top = logits.amax(dim=0, keepdim=True)
    behind = top - logits.gather(0, labels)
    powers = logits.sub_(top).clamp_(min=_TINY).exp_()
    true = powers.gather(0, labels)
    powers.scatter_(0, labels, 0.0)
    others = powers.sum(dim=0, keepdim=True)
    loss = behind + torch.log1p(others + (true - 1))
    total = others + true
    return loss.sum(dtype=torch.float64), powers.div_(total).scatter_(0, labels, -others / total)


def sigmoid_loss(logits: Tensor, signs: Tensor) -> tuple[Tensor, Tensor]:
    """Return the summed binary cross entropy of logits (C, B) and signs (C, B), and probability - label (C, B).

    The logits are overwritten. A sign is -1 where the label holds and 1 where it does not.
    """
    margins = logits.mul_(signs).clamp_(min=_TINY)
    loss = margins.clamp(min=0) + torch.log1p(torch.exp(-margins.abs()))
    return loss.sum(dtype=torch.float64), margins.sigmoid_().mul_(signs)
