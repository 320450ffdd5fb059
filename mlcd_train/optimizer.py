"""AdamW with CLIP's weight-decay groups and a factor per layer, schedules, and a running mean of the weights."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mlcd_train.sections import OptimizerConfig
from mlcd_train.sharding import is_sharded

BEFORE_BLOCKS = (
    "patch_embedding",
    "class_embedding",
    "position_embedding",
    "class_angles",
    "ln_pre",
    "token_embedding",
)
"""Beginnings of the names, within a tower, of parameters that act before its blocks."""


def make_optimizer(parameters: Sequence[tuple[str, nn.Parameter]], config: OptimizerConfig) -> torch.optim.AdamW:
    """Groups by decay and by factor on the learning rate, `scale`: matrices decay; gains, biases, class tokens,
    positions and the temperature do not. On a GPU one kernel updates them all (fused)."""
    scales = layer_scales([name for name, _ in parameters], config.layer_decay)
    members: dict[tuple[float, bool, bool], list[nn.Parameter]] = {}
    for name, p in parameters:
        decays = p.ndim >= 2 and "position" not in name and "angles" not in name
        members.setdefault((scales[name], decays, is_sharded(p)), []).append(p)
    groups = [
        {"params": members[key], "weight_decay": config.weight_decay if decays else 0.0, "scale": scale}
        for key in sorted(members, reverse=True)
        for scale, decays, _ in [key]
    ]
    on_gpu = all(p.device.type == "cuda" for _, p in parameters)  # on a CPU fused sums differ in their last bits
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=on_gpu or None)


def layer_scales(names: Sequence[str], decay: float) -> dict[str, float]:
    """Factors on the learning rate by parameter: decay^(d - n) for block n in 0 to d - 1 of a tower with d blocks,
    decay^(d + 1) for what comes before the blocks, 1 for what comes after them."""
    blocks = {name: re.match(r"(.*?)blocks\.(\d+)\.", name) for name in names}
    depth: dict[str, int] = {}
    for block in filter(None, blocks.values()):
        depth[block[1]] = max(depth.get(block[1], 0), int(block[2]) + 1)

    def scale(name: str) -> float:
        block = blocks[name]
        if block is not None:
            return decay ** (depth[block[1]] - int(block[2]))
        tower, _, rest = name.partition(".")
        before = rest.startswith(BEFORE_BLOCKS)
        return decay ** (depth[f"{tower}."] + 1) if before and f"{tower}." in depth else 1.0

    return {name: scale(name) for name in names}


def learning_rate(step: int, steps: int, config: OptimizerConfig) -> float:
    """The learning rate of a step in 0 to steps - 1: linear up to lr over `warmup` steps, then as `schedule` says."""
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "cosine":
        done = (step - config.warmup) / max(steps - config.warmup, 1)
        return config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(math.pi * done)) / 2
    if config.schedule == "constant":
        return config.lr
    left = (steps - step) / max(round(config.cooldown * steps), 1)
    return config.min_lr + (config.lr - config.min_lr) * min(left, 1.0)


class WeightAverage:
    """Exponential moving average of parameters: average = decay * average + (1 - decay) * parameter after each step.

    The decay of step t is at most (1 + t) / (10 + t), so that the random start is soon forgotten.
    """

    def __init__(self, parameters: Sequence[tuple[str, nn.Parameter]], decay: float) -> None:
        self.decay = decay
        self._parameters = list(parameters)
        self.weights = {name: p.detach().clone() for name, p in parameters}

    @torch.no_grad()
    def restart(self) -> None:
        """Start again from the parameters as they are."""
        self.weights = {name: p.detach().clone() for name, p in self._parameters}

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
