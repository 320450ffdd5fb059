"""The linear layer of papers' segmentation, trained by gradient steps on the pixels of images.

Batch normalisation of patches, a linear layer whose weights start from a normal distribution of deviation 0.01,
scores upsampled bilinearly, cross-entropy of the pixels that have a class, AdamW, a warm-up and a fall to 0.
DINOv3: dinov3/eval/segmentation at 6876159 (configs/config-ade20k-linear-training.yaml, models/heads/linear_head.py,
schedulers.py). RADIO: mmseg/configs/radio/radio_linear_8xb2-80k_ade20k-512x512.py and mmseg/linear_head.py of
NVlabs/RADIO at c0f3701, on mmengine's LinearLR and PolyLR. Here features are kept: images are neither cropped, flipped
nor recoloured. A change to this raises RECIPE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from mlcd_eval.data.annotations import UNLABELLED, ClassMap
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.segmentation.recipe_settings import RecipeSettings
from mlcd_eval.protocols.segmentation.tokens import Images
from mlcd_eval.support.progress import Advance
from mlcd_eval.support.resident import Rows

RECIPE = 1
DEVIATION = 0.01
_KEPT = 1 << 30  # bytes of true classes that are kept; of more, each is read when it is needed


class PatchLayer(nn.Module):
    """Patches (B, h, w, D) -> scores (B, C, h, w)."""

    def __init__(self, width: int, num_classes: int, chance: torch.Generator) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.layer = nn.Conv2d(width, num_classes, 1)
        with torch.no_grad():
            self.layer.weight.normal_(std=DEVIATION, generator=chance)
            nn.init.zeros_(self.bias)

    @property
    def bias(self) -> Tensor:
        """Of the layer."""
        assert self.layer.bias is not None, "Conv2d has one by default"
        return self.layer.bias

    def forward(self, patches: Tensor, kept: Tensor) -> Tensor:
        """kept (B, D, 1, 1): factors of channels."""
        scores: Tensor = self.layer(self.norm(patches.permute(0, 3, 1, 2) * kept))
        return scores

    def folded(self) -> tuple[Tensor, Tensor]:
        """The weight (C, D) and bias (C,) of the layer on patches as they are, by the running mean and variance."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None, "kept by BatchNorm2d"
        weight = self.layer.weight.detach()[:, :, 0, 0]
        factor = self.norm.weight.detach() / (variance + self.norm.eps).sqrt()
        bias = self.bias.detach() + weight @ (self.norm.bias.detach() - mean * factor)
        return weight * factor, bias


def train_layer(
    settings: RecipeSettings,
    images: Images,
    num_classes: int,
    side: int,
    seed: int,
    device: str,
    advance: Advance = lambda _: None,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Return weight (C, D), bias (C,) and what the record says of the training.

    side: pixels along a side of the square, at which scores and classes are compared. Raises IncompatibleError where no
    pixel has a class.
    """
    truths, patches = _Truths(images.annotations, side), Rows(images.array, device)
    chance = torch.Generator().manual_seed(seed)
    model = PatchLayer(images.array.shape[3], num_classes, chance).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    batches, loss = _Batches(len(images.annotations), settings.batch_size, chance), torch.zeros(())
    known = 0
    for step in range(settings.steps):
        rows = batches.next()
        truth = torch.from_numpy(truths[rows]).long()
        advance(1)
        if not (truth >= 0).any():
            continue
        known += 1
        loss = _loss(model, patches[rows].float(), truth.to(device), settings.dropout, chance)
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step)
        optimizer.step()
    if not known:
        raise IncompatibleError(
            f"seg_linear learns from pixels: got {len(images.annotations)} train images without one that has a class, "
            "expected some"
        )
    weight, bias = model.folded()
    details = {"recipe": RECIPE, "steps": settings.steps, "loss": float(loss.detach()), "side": side}
    return weight, bias, {**details, "num_train_images": len(images.annotations)}


def _loss(model: PatchLayer, patches: Tensor, truth: Tensor, dropout: float, chance: torch.Generator) -> Tensor:
    """The mean cross-entropy of pixels that have a class. truth: (B, side, side), UNLABELLED elsewhere."""
    kept = torch.rand(len(patches), patches.shape[3], 1, 1, generator=chance) >= dropout
    scores = model(patches, (kept / (1 - dropout)).to(patches))
    fine = interpolate(scores, size=truth.shape[1:], mode="bilinear", align_corners=False)
    return cross_entropy(fine, truth, ignore_index=UNLABELLED)


class _Batches:
    """Endless passes over rows, each in an order of its own, the next one where a batch ends beyond the last."""

    def __init__(self, count: int, size: int, chance: torch.Generator) -> None:
        self._count, self._size, self._chance = count, size, chance
        self._left: NDArray[np.int64] = np.empty(0, np.int64)

    def next(self) -> NDArray[np.int64]:
        while len(self._left) < self._size:
            drawn = torch.randperm(self._count, generator=self._chance).numpy()
            self._left = np.concatenate([self._left, drawn])
        batch, self._left = self._left[: self._size], self._left[self._size :]
        return batch


class _Truths:
    """Rows -> (B, side, side) int16, the class of the pixel nearest to each point of the square."""

    def __init__(self, maps: Sequence[ClassMap], side: int) -> None:
        self._maps, self._side = maps, side
        self._kept: dict[int, NDArray[np.int16]] = {}
        self._most = _KEPT // (2 * side**2)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        return np.stack([self._of(row) for row in rows.tolist()])

    def _of(self, row: int) -> NDArray[np.int16]:
        if row in self._kept:
            return self._kept[row]
        each = self._maps[row]
        place = np.floor((np.arange(self._side) + 0.5) * max(each.size) / self._side).astype(np.int64)
        down, along = (place[place < count] for count in each.size)
        square = np.full((self._side, self._side), UNLABELLED, np.int16)
        square[: len(down), : len(along)] = each.pixels()[np.ix_(down, along)]
        if len(self._kept) < self._most:
            self._kept[row] = square
        return square
