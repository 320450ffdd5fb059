"""What differs between heads that are trained to bins of depth: DINOv3's, and DINOv2's on frozen tokens.

DINOv3: dinov3/eval/depth. DINOv2: dinov2/eval/depth (decode_heads/linear_head.py and decode_head.py, losses/sigloss.py)
at d5c376b, the configs that it links to (BNHead, whose batch normalisation its code leaves out), and the hooks of mmcv
1.x that these name. Its gradient loss takes differences along the batch and the channel, so that it is 0 for the two
images of a GPU, and is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

WARM_UP = 1 / 3  # of the steps, in which the learning rate rises
FIRST = 1 / 1000  # of the learning rate, at the first step
MOMENTA = (0.85, 0.95)  # ends of the first beta
LOWEST = 1 / 25_000  # of DINOv3's learning rate, at the end
LEAST = 1e-8  # of DINOv2's
FALLING = 0.3  # of DINOv2's steps, in which the first beta falls


@dataclass(frozen=True)
class BinsRecipe:
    """normalised: whether patches pass a batch normalisation first. upsample: how many times as fine as the patches the
    outputs are interpolated before they become depth. deviation: of the first weights, None for PyTorch's own.
    schedule: a step from 0, and the steps -> the share of the learning rate, and the first beta."""

    normalised: bool
    upsample: int
    deviation: float | None
    schedule: Callable[[int, int], tuple[float, float]]
    beta2: float
    weight_decay: float


def dinov3_schedule(step: int, steps: int) -> tuple[float, float]:
    """DINOv3's WarmupOneCycleLR; the first beta is 0 while the learning rate rises."""
    warm = int(WARM_UP * steps)
    if step < warm:
        return FIRST + (1 + math.cos(math.pi * step / steps)) / 2 * step / warm, 0.0
    low, high = MOMENTA
    beta = _between(low, high, (step - warm) / (steps - warm))
    return _between(1.0, LOWEST, (step + 1) / steps), beta


def dinov2_schedule(step: int, steps: int) -> tuple[float, float]:
    """mmcv's CosineAnnealing with a linear warm-up, and its OneCycle of the first beta."""
    warm = int(WARM_UP * steps)
    rate = _between(1.0, LEAST, step / steps)
    if step < warm:
        rate *= 1 - (1 - step / warm) * (1 - FIRST)
    low, high = MOMENTA
    turn, last = FALLING * steps - 1, steps - 1
    beta = _between(high, low, step / turn) if step <= turn else _between(low, high, (step - turn) / (last - turn))
    return rate, beta


def _between(start: float, end: float, share: float) -> float:
    """From start to end by a cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


RECIPES: Mapping[str, BinsRecipe] = {
    "dinov3": BinsRecipe(True, 1, 0.01, dinov3_schedule, 0.99, 1e-4),
    "dinov2": BinsRecipe(False, 4, None, dinov2_schedule, 0.999, 0.01),
}
