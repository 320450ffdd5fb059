"""The segmentation probe: a light, text-conditioned mask head on frozen patch features, trained by a fixed recipe.

Recipe 1: patches and text are projected to 128 dimensions; the text scales and shifts every patch and joins them as a
token; two pre-norm transformer layers follow; each patch's output is its square of mask cells, so that the whole mask
has at least 64 cells per side. AdamW, lr 2e-3 with 100 warm-up steps and cosine decay, weight decay 0.05, batches of 64
sentences; the loss is binary cross-entropy, in which cells inside count 4 times, plus Dice loss. A change to the recipe
raises RECIPE.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pixel_shuffle

from mlcd_eval.support.progress import Advance

RECIPE = 1
WIDTH, HEADS, LAYERS = 128, 4, 2
LEAST_SIDE = 64
BATCH, LR, WARMUP, WEIGHT_DECAY = 64, 2e-3, 100, 0.05
INSIDE = 4.0  # weight of cells inside in the cross-entropy: without it, small masks stay empty for hundreds of steps

Rows = Callable[[np.ndarray], tuple[Tensor, Tensor]]
"""Sentence numbers -> patches (B, h, w, D) and text (B, T), on the device."""


class MaskHead(nn.Module):
    """patches (B, h, w, D), text (B, T) -> logits (B, h * u, w * u), where each patch has u x u cells."""

    def __init__(self, patch_dim: int, text_dim: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        self.upscale = math.ceil(LEAST_SIDE / min(grid))
        self.patch = nn.Sequential(nn.LayerNorm(patch_dim), nn.Linear(patch_dim, WIDTH))
        self.text = nn.Sequential(nn.LayerNorm(text_dim), nn.Linear(text_dim, WIDTH))
        self.position = nn.Parameter(torch.randn(grid[0] * grid[1], WIDTH) * 0.02)
        self.modulation = nn.Linear(WIDTH, 2 * WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, self.upscale**2))

    def forward(self, patches: Tensor, text: Tensor) -> Tensor:
        """Return one mask per sentence."""
        token = self.text(text)[:, None]
        scale, shift = self.modulation(token).chunk(2, dim=-1)
        x = (self.patch(patches.flatten(1, 2)) + self.position) * (1 + scale) + shift
        x = self.out(self.layers(torch.cat([token, x], dim=1))[:, 1:])
        return pixel_shuffle(x.mT.unflatten(2, self.grid), self.upscale)[:, 0]


def dice_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return 1 - 2 |A B| / (|A| + |B|) of soft masks (B, h, w), averaged over the batch (Milletari et al. 2016)."""
    inside = logits.sigmoid().flatten(1)
    target = target.flatten(1)
    return (1 - (2 * (inside * target).sum(1) + 1) / (inside.sum(1) + target.sum(1) + 1)).mean()


def train_head(
    rows: Rows,
    targets: Callable[[np.ndarray, int], Tensor],
    count: int,
    steps: int,
    seed: int,
    device: str,
    advance: Advance = lambda _: None,
) -> MaskHead:
    """Train a head on `count` sentences. targets: sentence numbers and the masks' side -> (B, side, side) in [0, 1].
    advance: called with the steps done."""
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        patches, text = rows(np.arange(1))
        head = MaskHead(patches.shape[-1], text.shape[-1], (patches.shape[1], patches.shape[2])).to(device)
    optimizer = torch.optim.AdamW(head.parameters(), lr=LR, weight_decay=WEIGHT_DECAY)
    side = head.grid[0] * head.upscale
    for step, index in zip(range(steps), _batches(count, rng)):  # noqa: B905 the batches are endless
        for group in optimizer.param_groups:
            group["lr"] = LR * min(1, (step + 1) / WARMUP) * (1 + math.cos(math.pi * step / steps)) / 2
        patches, text = rows(index)
        target = targets(index, side).to(device)
        logits = head(patches, text)
        weight = torch.tensor(INSIDE, device=logits.device)
        loss = binary_cross_entropy_with_logits(logits, target, pos_weight=weight) + dice_loss(logits, target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimizer.step()
        advance(1)
    return head.eval()


def _batches(count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield batches of sentence numbers from endless passes over all sentences, each in a new order."""
    order: np.ndarray = np.empty(0, np.int64)
    while True:
        while len(order) < BATCH:
            order = np.concatenate([order, rng.permutation(count)])
        yield order[:BATCH]
        order = order[BATCH:]


@torch.inference_mode()
def predict(head: MaskHead, rows: Rows, count: int) -> Iterator[Tensor]:
    """Yield the logits (h * u, w * u) of each of `count` sentences."""
    for begin in range(0, count, BATCH):
        patches, text = rows(np.arange(begin, min(begin + BATCH, count)))
        yield from head(patches, text).cpu()
