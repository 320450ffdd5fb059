"""From what a tower computes to layers: tokens, grid of patches, pooled feature, joint space."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mlcd_eval.encoders.adapters.hf.calls import RESIZED, Output, call_of, naflex_mask, takes_other_sizes
from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, PROJECTED, PROJECTED_PATCHES
from mlcd_eval.encoders.families.choice import POOLINGS
from mlcd_eval.encoders.families.rows import Family
from mlcd_eval.encoders.sizes import Positions
from mlcd_eval.errors import IncompatibleError

IN_WORDS = {
    "pooler": "the model's own pooled output",
    "cls": "the class token",
    "mean": "the mean of the patches",
}


@dataclass(frozen=True)
class Tokens:
    """pooled: (B, D), None where the model pools nothing or by weights that its checkpoint lacks; prefix: the class
    token and registers, (B, P, D); patches: (B, N, D) of which `mask` (B, N) counts; grid: (h, w), None where patches
    form none."""

    pooled: torch.Tensor | None
    prefix: torch.Tensor
    patches: torch.Tensor
    grid: tuple[int, int] | None
    mask: torch.Tensor | None

    def pool(self, way: str) -> torch.Tensor | None:
        """(B, D) by one of POOLINGS, None where the model has no such thing."""
        if way == "pooler":
            return self.pooled
        if way == "cls":
            return self.prefix[:, 0] if self.prefix.shape[1] else None
        if self.mask is None:
            return self.patches.mean(1)
        weights = self.mask[..., None].to(self.patches.dtype)
        return (self.patches * weights).sum(1) / weights.sum(1)


class Reader:
    """One image tower with its family's way to read it.

    pooling: what `penultimate` is, one of POOLINGS, None for a tower that has patches only; has_class: whether there is
    a class token; both are known with the first pixels. has_pooler: whether the checkpoint held the weights of the
    class's own pooling.
    """

    def __init__(self, model: Any, family: Family, options: Mapping[str, str], has_pooler: bool) -> None:
        self.family = family
        self.has_pooler = has_pooler
        self.call = call_of(family.call, options)
        self.pooling: str | None = None
        self.has_class: bool
        self.tower = _part(model, "vision_model", "vision_encoder")
        self.norm = getattr(self.tower, family.norm) if family.norm else None
        self.projection = getattr(model, family.projection) if family.projection else None

    @property
    def positions(self) -> Positions | None:
        """How patches of images of another size get their positions, None where the tower takes one size."""
        asked = self.family.call in RESIZED and takes_other_sizes(self.tower)
        return self.family.positions or ("interpolated" if asked else None)

    @property
    def patch(self) -> int | None:
        """The side of a patch in pixels as the tower's config has it."""
        patch = getattr(self.tower.config, "patch_size", None)
        return patch if isinstance(patch, int) else None

    def resized(self) -> Reader:
        """Return the same for images of another size than the tower's own."""
        other = copy.copy(self)
        other.call = RESIZED.get(self.family.call, self.call)
        return other

    def choose(self, pixels: torch.Tensor, wanted: str | None, spec: str) -> None:
        """Set `pooling` to the wanted one or to the first of the family's that the model has. Raises IncompatibleError
        for a wanted one that it has not."""
        tokens = self._tokens(pixels)
        ways = [way for way in POOLINGS if tokens.pool(way) is not None]
        if wanted is not None and wanted not in ways:
            raise IncompatibleError(f"--model {spec!r}: got pool={wanted}, expected one of {', '.join(ways)}")
        self.has_class = "cls" in ways
        self.pooling = wanted or next((way for way in self.family.pool if way in ways), None)

    def mask(self, pixels: torch.Tensor) -> torch.Tensor | None:
        """(B, N) bool, which tokens of the tower are patches, None where the layout of its tokens tells."""
        return naflex_mask(pixels) if self.family.call == "naflex" else None

    def blocks_path(self, model: Any) -> str:
        """The name in the model of the tower's list of blocks, which has as many as its config says; empty without."""
        depth = getattr(self.tower.config, "num_hidden_layers", None)
        lists = (module for module in self.tower.modules() if isinstance(module, nn.ModuleList))
        blocks = next((module for module in lists if len(module) == depth), None)
        return "" if blocks is None else next(name for name, module in model.named_modules() if module is blocks)

    def in_words(self) -> str:
        """The pooling as records store it."""
        if self.pooling is None:
            return "none: it has no pooled feature, ?pool=mean takes the mean of its patches"
        return f"{self.pooling}: {IN_WORDS[self.pooling]}"

    def __call__(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Pixels -> every layer that the model has."""
        tokens = self._tokens(pixels)
        outputs = {}
        if self.pooling is not None:
            outputs[PENULTIMATE] = tokens.pool(self.pooling)
        joint = tokens.pool(self.family.pool[0]) if self.family.joint else None
        if joint is not None:
            outputs[PROJECTED] = joint if self.projection is None else self.projection(joint)
        if tokens.grid is not None:
            outputs[PATCHES] = tokens.patches.unflatten(1, tokens.grid)
            if self.family.dense and self.projection is not None:
                outputs[PROJECTED_PATCHES] = self.projection(outputs[PATCHES])
        return {name: output for name, output in outputs.items() if output is not None}

    def _tokens(self, pixels: torch.Tensor) -> Tokens:
        output = self.call(self.tower, pixels)
        hidden, pooled = output.hidden, output.pooled if self.has_pooler else None
        pooled = None if pooled is None else pooled.flatten(1)  # convolutional networks pool to (B, D, 1, 1)
        grid: tuple[int, int] | None
        if hidden.dim() == 4:
            hidden = hidden if self.family.channels_last else hidden.permute(0, 2, 3, 1)
            grid = (hidden.shape[1], hidden.shape[2])
            hidden, prefix = hidden.flatten(1, 2), 0
        else:
            prefix, grid = self._layout(output, (pixels.shape[-2], pixels.shape[-1]))
        hidden = hidden if self.norm is None else self.norm(hidden)
        return Tokens(pooled, hidden[:, :prefix], hidden[:, prefix:], grid, output.mask)

    def _layout(self, output: Output, size: tuple[int, int]) -> tuple[int, tuple[int, int] | None]:
        """(tokens before the patches, the grid's (h, w) or None) of a sequence, whose patches come last in rows."""
        count = output.hidden.shape[1]
        if output.mask is not None:
            return 0, None
        if self.family.prefix is not None:
            return self.family.prefix, _grid_of(count - self.family.prefix, size)
        patch = getattr(self.tower.config, "patch_size", None)
        sides = (patch, patch) if isinstance(patch, int) else patch
        if sides is None or self.family.call == "radio":  # its features are patches alone
            return 0, _grid_of(count, size)
        grid = (size[0] // sides[0], size[1] // sides[1])
        prefix = count - grid[0] * grid[1]
        return (prefix, grid) if prefix >= 0 else (0, _grid_of(count, size))


def _grid_of(count: int, size: tuple[int, int]) -> tuple[int, int] | None:
    """(h, w) of a number of patches in the aspect of an image of this size, None where they form no grid."""
    height = round(math.sqrt(count * size[0] / size[1]))
    return (height, count // height) if height and count % height == 0 else None


def _part(model: Any, *names: str) -> Any:
    """The first part of these names that a model has, else the model."""
    return next((getattr(model, name) for name in names if hasattr(model, name)), model)
