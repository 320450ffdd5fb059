"""How a head is trained on the patch tokens of a frozen encoder, by the recipe that the head comes with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlcd_eval.support.progress import Advance
from mlcd_eval.support.resident import Rows

_TEST_ROWS = 256  # images at a time


class Head(nn.Module):
    """tokens (B, N, D) -> logits (B, outputs), float32. heads: of its attention."""

    heads: int


@dataclass(frozen=True)
class Recipe:
    """A head, and how it is trained by AdamW with betas of 0.9 and 0.999.

    number: raised by a change. head: (width, outputs) -> a head with its first weights. epochs: passes over the images,
    but at least least_steps. clip: the largest norm of the gradients. smoothing: of labels, one per image. rate:
    (learning rate, step from 0, steps) -> that of the step. Cross-entropy, or binary cross-entropy where images have
    several labels.
    """

    number: int
    head: Callable[[int, int], Head]
    epochs: int
    least_steps: int
    batch: int
    clip: float
    smoothing: float
    rate: Callable[[float, int, int], float]

    def steps_of(self, count: int) -> int:
        """Return the steps for a number of images."""
        return max(self.least_steps, self.epochs * -(-count // self.batch))


def train_attentive(
    recipe: Recipe,
    patches: Rows,
    labels: np.ndarray,
    num_classes: int,
    lr: float,
    weight_decay: float,
    seed: int,
    precision: str,
    advance: Advance = lambda _: None,
    steps: int | None = None,
) -> Head:
    """Train a head on patches (N, h, w, D) and labels (N,), or (N, C) 0/1. advance: called with the steps done. steps:
    None for the recipe's."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = recipe.head(patches.shape[-1], num_classes)
    head.to(patches.device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=weight_decay)
    steps = steps or recipe.steps_of(len(labels))
    targets = torch.as_tensor(labels, device=patches.device)
    for step, index in zip(range(steps), _batches(len(labels), recipe.batch, rng)):  # noqa: B905 the batches are endless
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate(lr, step, steps)
        logits = _logits(head, patches[index], precision)
        target = targets[torch.as_tensor(index, device=targets.device)]
        if target.dim() == 1:
            loss = functional.cross_entropy(logits, target, label_smoothing=recipe.smoothing)
        else:
            loss = functional.binary_cross_entropy_with_logits(logits, target.float())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), recipe.clip)
        optimizer.step()
        advance(1)
    return head.eval()


def scores_of(head: Head, patches: Rows, precision: str) -> Iterator[Tensor]:
    """Yield the logits (B, C) of patches (N, h, w, D), in order, in chunks."""
    for rows in patches.chunks(_TEST_ROWS):
        with torch.inference_mode():
            logits = _logits(head, rows, precision)
        yield logits  # outside, so that what takes them is not in this mode


def _logits(head: Head, patches: Tensor, precision: str) -> Tensor:
    with torch.autocast(patches.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits: Tensor = head(patches.flatten(1, 2))
        return logits


def _batches(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield rows of batches from endless passes over all rows, each in a new order; the last batch of a pass is
    smaller."""
    while True:
        order = rng.permutation(count)
        yield from (order[begin : begin + size] for begin in range(0, count, size))
