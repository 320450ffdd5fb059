"""Random numbers of a training step that are the same for any number of ranks, and after any resumption."""

from __future__ import annotations

import torch


def step_generator(seed: int, step: int, block: int, draw: int = 0) -> torch.Generator:
    """A random stream for each (seed, step, block, draw); the mix of the four does not collide in practice.

    block: of classes, by its first one, or, below zero, of images. draw: number of one of several draws.
    """
    mixed = seed * 0x9E3779B97F4A7C15 + (step + 1) * 0xBF58476D1CE4E5B9 + block * 0x94D049BB133111EB
    return torch.Generator().manual_seed((mixed + draw * 0xD6E8FEB86659FD93) & (2**63 - 1))
