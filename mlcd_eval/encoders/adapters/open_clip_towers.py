"""The layers of open_clip's image towers: features before and after the projection to the joint space, and patches."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from open_clip.model import resize_pos_embed
from open_clip.modified_resnet import ModifiedResNet
from open_clip.timm_model import TimmModel
from open_clip.transformer import VisionTransformer
from torch import nn

from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, PROJECTED, PROJECTED_PATCHES
from mlcd_eval.errors import IncompatibleError


def tower_of(visual: nn.Module, spec: str) -> nn.Module:
    """Return the layers of pixels (B, 3, H, W) by an image tower; spec names the model in the error.

    Raises IncompatibleError for a tower of another type.
    """
    if isinstance(visual, VisionTransformer):
        return ViTTower(visual)
    if isinstance(visual, ModifiedResNet):
        return _ResNetTower(visual)
    if isinstance(visual, TimmModel):
        return _TimmTower(visual)
    raise IncompatibleError(
        f"--model {spec!r}: got an image tower of type {type(visual).__name__}, expected a ViT, "
        f"a ModifiedResNet or a timm trunk"
    )


class ViTTower(nn.Module):
    """The projection is taken out of open_clip's module and applied here, so that features before it can be read."""

    def __init__(self, visual: VisionTransformer) -> None:
        super().__init__()
        self.visual = visual
        self.projection = visual.proj
        self.grid = visual.grid_size
        visual.proj, visual.output_tokens = None, True

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every layer."""
        pooled, tokens = self.visual(pixels)
        outputs = {PENULTIMATE: pooled, PROJECTED: self.to_joint(pooled)}
        if tokens.shape[1] == self.grid[0] * self.grid[1]:  # an attention pool returns its queries instead
            outputs[PATCHES] = patches = tokens.unflatten(1, self.grid)
            outputs[PROJECTED_PATCHES] = self.to_joint(patches)
        return outputs

    def take(self, size: tuple[int, int]) -> None:
        """Take images of another height and width from now on, by open_clip's own interpolation of positions."""
        visual = self.visual
        state = {"visual.positional_embedding": visual.positional_embedding.detach()}
        visual.image_size = size
        visual.grid_size = size[0] // visual.patch_size[0], size[1] // visual.patch_size[1]
        resize_pos_embed(state, SimpleNamespace(visual=visual))
        visual.positional_embedding = nn.Parameter(state["visual.positional_embedding"], requires_grad=False)
        self.grid = visual.grid_size

    def to_joint(self, tokens: torch.Tensor) -> torch.Tensor:
        """(..., width) -> (..., D)."""
        return tokens if self.projection is None else tokens @ self.projection


class _ResNetTower(nn.Module):
    """The attention pool's output projection is replaced by the identity and applied here."""

    def __init__(self, visual: ModifiedResNet) -> None:
        super().__init__()
        self.visual = visual
        self.projection = visual.attnpool.c_proj
        width = self.projection.in_features
        visual.attnpool.c_proj = nn.Linear(width, width)
        with torch.no_grad():
            visual.attnpool.c_proj.weight.copy_(torch.eye(width))
            visual.attnpool.c_proj.bias.zero_()

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        pooled = self.visual(pixels)
        return {PENULTIMATE: pooled, PROJECTED: self.projection(pooled)}


class _TimmTower(nn.Module):
    """timm splits a trunk into features and head; open_clip's head follows."""

    def __init__(self, visual: TimmModel) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        trunk = self.visual.trunk
        features = trunk.forward_features(pixels)
        outputs = {
            PENULTIMATE: trunk.forward_head(features, pre_logits=True),
            PROJECTED: self.visual.head(trunk.forward_head(features)),
        }
        grid = getattr(getattr(trunk, "patch_embed", None), "grid_size", None)
        if features.dim() == 3 and grid:
            outputs[PATCHES] = features[:, trunk.num_prefix_tokens :].unflatten(1, grid)
        return outputs
