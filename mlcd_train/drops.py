"""What a training step leaves out of the image tower: residual branches and patches, drawn for each image.

Stochastic depth (Huang et al. 2016, arXiv 1603.09382) by sample, with a rate that rises linearly from 0 at the first
block to the setting at the last, as in timm; patch dropout as in FLIP (Li et al. 2022, arXiv 2212.00794).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mlcd_eval.support.distributed import rank
from mlcd_train.chance import step_generator
from mlcd_train.host import upload

BLOCK = 64  # images of a global batch that are drawn for together


class Drops(NamedTuple):
    """What VisionTransformer.forward takes. kept (B, n): tokens that are computed, paths (depth, 2, B): factors on
    branches; None: all, and 1."""

    kept: Tensor | None = None
    paths: Tensor | None = None

    def chunk(self, parts: int) -> list[Drops]:
        """Those of each part of the images."""
        kept = [None] * parts if self.kept is None else self.kept.chunk(parts)
        paths = [None] * parts if self.paths is None else self.paths.chunk(parts, dim=-1)
        return [Drops(*pair) for pair in zip(kept, paths, strict=True)]


@dataclass(frozen=True)
class DropRule:
    """path: rate at which branches of the last of `depth` blocks are dropped, the kept ones scaled by 1 / (1 - rate).
    patches: share of an image's `grid` x `grid` patches that are dropped."""

    seed: int
    path: float = 0.0
    patches: float = 0.0
    depth: int = 0
    grid: int = 0

    def of(self, step: int, count: int, device: torch.device) -> Drops:
        """What a step drops of this rank's `count` images: the same for an image, whatever the number of ranks."""
        if not self.path and not self.patches:
            return Drops()
        first = rank() * count
        blocks = range(first // BLOCK, -(-(first + count) // BLOCK))
        drawn = [self._block(step, block) for block in blocks]
        here = slice(first - blocks.start * BLOCK, first - blocks.start * BLOCK + count)
        kept = torch.cat([block.kept for block in drawn if block.kept is not None])[here] if self.patches else None
        paths = None
        if self.path:
            paths = torch.cat([block.paths for block in drawn if block.paths is not None], dim=-1)[..., here]
            paths = upload(paths, device)
        return Drops(None if kept is None else upload(kept, device), paths)

    def _block(self, step: int, block: int) -> Drops:
        generator = step_generator(self.seed, step, -1 - block)
        chance = torch.rand(BLOCK, self.grid**2, generator=generator)
        remain = max(1, int(self.grid**2 * (1 - self.patches)))
        tokens = 1 + chance.topk(remain).indices.sort(dim=1).values
        keep = 1 - torch.linspace(0, self.path, self.depth)[:, None, None]
        stays = torch.rand(self.depth, 2, BLOCK, generator=generator) < keep
        return Drops(torch.cat([torch.zeros(BLOCK, 1, dtype=torch.int64), tokens], dim=1), stays / keep)


NOTHING = DropRule(0)
WHOLE = Drops()
