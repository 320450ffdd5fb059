"""The attentive probe's head: one learned query attends to the patch tokens of a frozen encoder.

AIM (El-Nouby et al. 2024, section 4) and V-JEPA (Bardes et al. 2024, section 4) evaluate by such a head: a learned
query, multi-head cross-attention over the tokens, a norm and a linear layer.

Recipe 1: tokens are normalised by layer norm; heads of 64 dimensions, or more where the width does not allow that;
projections of keys, values and the attention's output, layer norm, linear layer. AdamW with betas of 0.9 and 0.999,
warm-up over the first tenth and cosine decay to 0, batches of 64, 20 passes over the images but at least 300 steps,
gradients clipped to norm 1; cross-entropy, or binary cross-entropy where images have several labels. A change raises
RECIPE.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlcd_eval.support.progress import Advance
from mlcd_eval.support.resident import Rows

RECIPE = 1
EPOCHS, LEAST_STEPS, BATCH, WARMUP, CLIP = 20, 300, 64, 0.1, 1.0
HEAD_WIDTH = 64
_TEST_ROWS = 256  # images at a time


class AttentiveHead(nn.Module):
    """tokens (B, N, D) -> logits (B, outputs).

    The query is the same for all images, so that keys need not be computed: a head's query, brought through the
    projection of keys once, is a direction whose product with a token is its score; and since values are linear in
    tokens, tokens are averaged first and the averages projected. A query's own projection and a bias of the keys would
    change no function that the head can learn: the first is absorbed in the query, softmax cancels the second.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.query = nn.Parameter(0.02 * torch.randn(width))
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, outputs)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits."""
        x = functional.layer_norm(tokens, tokens.shape[-1:])
        query, key, value = (
            weight.unflatten(0, (self.heads, -1)) for weight in (self.query, self.key.weight, self.value.weight)
        )
        directions = torch.einsum("hd,hdc->ch", query, key) * query.shape[1] ** -0.5
        weights = (x @ directions).softmax(dim=1)  # (B, N, heads)
        averages = weights.mT @ x  # (B, heads, D)
        pooled = torch.einsum("bhc,hdc->bhd", averages, value).flatten(1) + self.value.bias
        return self.linear(self.norm(self.out(pooled))).float()


def heads_of(width: int) -> int:
    """Return the most heads of at least HEAD_WIDTH dimensions that divide a width; 1 for a smaller width."""
    return max(heads for heads in range(1, max(1, width // HEAD_WIDTH) + 1) if width % heads == 0)


def train_attentive(
    patches: Rows,
    labels: np.ndarray,
    num_classes: int,
    lr: float,
    weight_decay: float,
    seed: int,
    precision: str,
    advance: Advance = lambda _: None,
    steps: int | None = None,
) -> AttentiveHead:
    """Train a head on patches (N, h, w, D) and labels (N,), or (N, C) 0/1. advance: called with the steps done. steps:
    None for the recipe's."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = AttentiveHead(patches.shape[-1], num_classes)
    head.to(patches.device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=lr, weight_decay=weight_decay)
    steps = steps or steps_of(len(labels))
    warmup = math.ceil(WARMUP * steps)
    targets = torch.as_tensor(labels, device=patches.device)
    for step, index in zip(range(steps), _batches(len(labels), rng)):  # noqa: B905 the batches are endless
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1.0, (step + 1) / warmup) * (1 + math.cos(math.pi * step / steps)) / 2
        logits = _logits(head, patches[index], precision)
        target = targets[torch.as_tensor(index, device=targets.device)]
        if target.dim() == 1:
            loss = functional.cross_entropy(logits, target)
        else:
            loss = functional.binary_cross_entropy_with_logits(logits, target.float())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), CLIP)
        optimizer.step()
        advance(1)
    return head.eval()


def steps_of(count: int) -> int:
    """Return the recipe's steps for a number of images."""
    return max(LEAST_STEPS, EPOCHS * -(-count // BATCH))


def scores_of(head: AttentiveHead, patches: Rows, precision: str) -> Iterator[Tensor]:
    """Yield the logits (B, C) of patches (N, h, w, D), in order, in chunks."""
    for rows in patches.chunks(_TEST_ROWS):
        with torch.inference_mode():
            logits = _logits(head, rows, precision)
        yield logits  # outside, so that what takes them is not in this mode


def _logits(head: AttentiveHead, patches: Tensor, precision: str) -> Tensor:
    with torch.autocast(patches.device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits: Tensor = head(patches.flatten(1, 2))
        return logits


def _batches(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield rows of batches from endless passes over all rows, each in a new order; the last batch of a pass is
    smaller."""
    while True:
        order = rng.permutation(count)
        yield from (order[begin : begin + BATCH] for begin in range(0, count, BATCH))
