"""Losses of logits and their derivatives, in float32 without loss of relative precision."""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = -60.0  # smallest logit kept: smaller ones make subnormal numbers, which are slow, and change nothing


def softmax_loss(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross entropy of logits (C, B), overwritten, and labels (1, B): its sum, and probability - one-hot (C, B).

    The true class's residual is minus the sum of the others, and the loss goes through log1p, so that float32 keeps
    its relative precision where the probability is 1 but for rounding.
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
    """Binary cross entropy of logits (C, B), overwritten, and signs (C, B), -1 where the label holds and 1 where not:
    its sum, and probability - label (C, B)."""
    margins = logits.mul_(signs).clamp_(min=_TINY)
    loss = margins.clamp(min=0) + torch.log1p(torch.exp(-margins.abs()))
    return loss.sum(dtype=torch.float64), margins.sigmoid_().mul_(signs)
