"""AdamW with CLIP's weight-decay groups, warm-up and cosine, and a running mean of the weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlcd_train.sections import OptimizerConfig


def make_optimizer(parameters: Sequence[tuple[str, nn.Parameter]], config: OptimizerConfig) -> torch.optim.AdamW:
    """Two groups: matrices decay; gains, biases, class tokens, positions and the temperature do not."""
    decays = [(name, p) for name, p in parameters if p.ndim >= 2 and "position" not in name and "angles" not in name]
    chosen = {name for name, _ in decays}
    others = [(name, p) for name, p in parameters if name not in chosen]
    groups = [
        {"params": [p for _, p in decays], "weight_decay": config.weight_decay},
        {"params": [p for _, p in others], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps)


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """The learning rate of a step in 0 to steps - 1: linear up to lr over `warmup` steps, then half a cosine down to
    min_lr."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    done = (step - config.warmup) / max(steps - config.warmup, 1)
    return config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(math.pi * done)) / 2


class WeightAverage:
    """Exponential moving average of parameters: average = decay * average + (1 - decay) * parameter after each step.

    The decay of step t is at most (1 + t) / (10 + t), so that the random start is soon forgotten.
    """

    def __init__(self, parameters: Sequence[tuple[str, nn.Parameter]], decay: float) -> None:
        self.decay = decay
        self._parameters = list(parameters)
        self.weights = {name: p.detach().clone() for name, p in parameters}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Add the parameters to the average, after step number `step`."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in self._parameters:
            self.weights[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the average and the parameters: once to use the average, again to continue training."""
        for name, parameter in self._parameters:
            kept: Tensor = parameter.detach().clone()
            parameter.copy_(self.weights[name])
            self.weights[name] = kept
