"""A linear head to bins of depth, as DINOv2 and DINOv3 evaluate depth (bins_recipes.py).

A patch's depth is the mean of the bins' depths, weighted by the layer's outputs as AdaBins normalises them (Bhat et al.
2021); it is interpolated to pixels. The loss is SigLoss, of two images at a time, as each of its eight GPUs has them.
Here features are those of whole images, without augmentation, and the loss is of FINE x FINE points of a patch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mlcd_eval.protocols.geometry.bins_recipes import RECIPES, BinsRecipe
from mlcd_eval.protocols.geometry.bins_settings import BinsSettings
from mlcd_eval.protocols.geometry.images import MeasuredImages, Target
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.shared.pixels import points_of
from mlcd_eval.support.progress import Advance
from mlcd_eval.support.resident import Rows

RECIPE = 1
"""Raised by a change of the training."""
OFFSET = 0.1  # that AdaBins adds to outputs before they are normalised
EPSILON = 1e-3  # added to depths before their logarithms
MEAN_SHARE = 0.15  # of the squared mean in SigLoss
UNVARIED = 100  # first steps, whose loss is of the mean only
TOGETHER = 2  # images in a loss
CLIP = 35.0


class BinsHead(nn.Module):
    """Patches (B, h, w, D) -> depth (B, h, w), as many times as fine as the recipe says."""

    def __init__(self, width: int, number: int, nearest: float, farthest: float, recipe: BinsRecipe) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width) if recipe.normalised else nn.Identity()
        self.layer, self._upsample = nn.Linear(width, number), recipe.upsample
        if recipe.deviation is not None:
            nn.init.normal_(self.layer.weight, std=recipe.deviation)
            nn.init.zeros_(self.layer.bias)
        self.register_buffer("bins", torch.linspace(nearest, farthest, number))
        self.bins: Tensor

    def forward(self, patches: Tensor) -> Tensor:
        """Return the weighted mean of the bins' depths at each place."""
        outputs, places = self.layer(self.norm(patches.flatten(0, -2))), patches.shape[:-1]
        if self._upsample > 1:  # a linear layer of interpolated patches gives its interpolated outputs
            maps = outputs.unflatten(0, places).movedim(-1, 1)
            finer = functional.interpolate(maps, scale_factor=self._upsample, mode="bilinear", align_corners=False)
            places = torch.Size([len(finer), *finer.shape[2:]])
            outputs = finer.movedim(1, -1).flatten(0, -2)
        weights = outputs.relu() + OFFSET
        depth: Tensor = (weights @ self.bins / weights.sum(dim=1)).unflatten(0, places)
        return depth


def train_bins(
    train: MeasuredImages,
    target: Target,
    settings: BinsSettings,
    depths: tuple[float, float],
    seed: int,
    device: str,
    advance: Advance = lambda _: None,
) -> BinsHead:
    """Train a head on the images' depth, as `target` gives it. depths: the ends of the bins. advance: called with the
    steps done."""
    chance = np.random.default_rng(seed)
    patches, recipe = Rows(train.array, device), RECIPES[settings.recipe]
    truth = torch.from_numpy(np.stack([at_points(target(each.values()), train.layout) for each in train.annotations]))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = BinsHead(patches.shape[-1], settings.number, *depths, recipe)
    head.to(patches.device).train()
    optimizer = torch.optim.AdamW(head.parameters(), settings.learning_rate, weight_decay=recipe.weight_decay)
    for step, index in zip(range(settings.steps), _batches(len(truth), settings.batch, chance)):  # noqa: B905 endless
        rate, beta = recipe.schedule(step, settings.steps)
        optimizer.param_groups[0].update(lr=rate * settings.learning_rate, betas=(beta, recipe.beta2))
        depth = head(patches[index].float())
        points = functional.interpolate(
            depth[:, None], size=tuple(truth.shape[1:]), mode="bilinear", align_corners=False
        )
        here = truth[index].to(depth.device)
        groups = zip(points[:, 0].split(TOGETHER), here.split(TOGETHER), strict=True)
        losses = [sig_loss(ours, theirs, step >= UNVARIED) for ours, theirs in groups]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()
        nn.utils.clip_grad_norm_(head.parameters(), CLIP)
        optimizer.step()
        advance(1)
    return head.eval()


def sig_loss(depth: Tensor, truth: Tensor, varied: bool) -> Tensor:
    """SigLoss of points whose true depth is not NaN, 0 where fewer than two have one; varied: with the variance of the
    logarithms' difference, not only its mean."""
    known = truth.isfinite()
    if int(known.sum()) < 2:
        return depth.sum() * 0
    difference = (depth[known] + EPSILON).log() - (truth[known] + EPSILON).log()
    square = MEAN_SHARE * difference.mean().square() + (difference.var() if varied else 0)
    return square.clamp_min(torch.finfo(square.dtype).tiny).sqrt()


def at_points(depth: NDArray[np.float64], layout: Layout) -> NDArray[np.float32]:
    """The depth at the middle of each of FINE x FINE parts of every patch, (FINE h, FINE w), NaN outside of the image.

    depth: (height, width, 1).
    """
    down, along = points_of(depth.shape[:2], layout)
    shape = max(down[-1] + 1, depth.shape[0]), max(along[-1] + 1, depth.shape[1])
    padded = np.full(shape, np.nan, np.float32)
    padded[: depth.shape[0], : depth.shape[1]] = depth[..., 0]
    return padded[np.ix_(down, along)]


def _batches(count: int, batch: int, chance: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield rows without end, in another order in each pass, whose last, smaller batch is left out."""
    size = min(batch, count)
    while True:
        order = chance.permutation(count)
        yield from (order[begin : begin + size] for begin in range(0, count - size + 1, size))
