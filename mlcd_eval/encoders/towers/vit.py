"""The image tower of this project's checkpoints: the ViT of CLIP, and its variant with 2D rotary positions.

The structure is that of transformers' CLIPVisionModel (positions="absolute") and MLCDVisionModel (positions="rope2d"),
so that weights convert both ways: pre-norm blocks after a first layer norm, a class token, no bias in the patch
embedding.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_serializer, model_validator
from torch import nn


class VisionConfig(BaseModel):
    """Shape of the tower. activation: quick_gelu for OpenAI's weights, gelu for others. pre_norm: whether a layer norm
    comes before the first block, as in CLIP; norm_eps: of all layer norms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image_size: int = Field(ge=1)
    patch_size: int = Field(ge=1)
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    heads: int = Field(ge=1)
    mlp_ratio: float = Field(default=4.0, gt=0)
    activation: Literal["gelu", "quick_gelu"] = "gelu"
    positions: Literal["absolute", "rope2d"] = "absolute"
    rope_theta: float = 10000.0
    pre_norm: bool = True
    norm_eps: float = Field(default=1e-5, gt=0)

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: Any) -> dict[str, Any]:
        """Without the last two fields at their defaults, so that what older checkpoints are identified by stays."""
        default = {"pre_norm": True, "norm_eps": 1e-5}
        return {key: value for key, value in serialize(self).items() if default.get(key, ...) != value}

    @model_validator(mode="after")
    def _fits(self) -> VisionConfig:
        if self.patch_size > self.image_size:
            raise ValueError(f"patch_size at most image_size = {self.image_size}, got {self.patch_size}")
        channels = 4 if self.positions == "rope2d" else 1  # per head: two angles, each for a pair
        if self.width % (self.heads * channels):
            raise ValueError(f"width a multiple of {self.heads} heads x {channels}, got {self.width}")
        return self

    @property
    def grid(self) -> int:
        """Patches per side."""
        return self.image_size // self.patch_size


def _sizes(image: int, patch: int, width: int, depth: int, heads: int) -> VisionConfig:
    return VisionConfig(image_size=image, patch_size=patch, width=width, depth=depth, heads=heads)


VIT_SIZES = {
    "vit_tiny_16_64": _sizes(64, 16, 192, 12, 3),
    "vit_tiny_8_64": _sizes(64, 8, 192, 12, 3),
    "vit_small_16_224": _sizes(224, 16, 384, 12, 6),
    "vit_base_32_224": _sizes(224, 32, 768, 12, 12),
    "vit_base_16_224": _sizes(224, 16, 768, 12, 12),
    "vit_large_14_224": _sizes(224, 14, 1024, 24, 16),
    "vit_large_14_336": _sizes(336, 14, 1024, 24, 16),
}


class QuickGELU(nn.Module):
    """x * sigmoid(1.702 x), the approximation that OpenAI's weights were trained with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Elementwise."""
        return x * torch.sigmoid(1.702 * x)


def rotate(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Rotary embedding of x (B, heads, N, d) by angles (N, d/2), or (B, 1, N, d/2), channel i paired with i + d/2."""
    cos, sin = (torch.cat([part, part], dim=-1) for part in (angles.cos(), angles.sin()))
    first, second = x.float().chunk(2, dim=-1)
    return (x.float() * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)


class Block(nn.Module):
    """A pre-norm transformer block; `causal` for text, `angles` for rotary positions."""

    def __init__(self, width: int, heads: int, mlp_width: int, activation: str, eps: float = 1e-5) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1 = nn.LayerNorm(width, eps)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width, eps)
        self.mlp_in = nn.Linear(width, mlp_width)
        self.act = QuickGELU() if activation == "quick_gelu" else nn.GELU()
        self.mlp_out = nn.Linear(mlp_width, width)

    def forward(
        self,
        x: torch.Tensor,
        angles: torch.Tensor | None = None,
        causal: bool = False,
        paths: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """(B, N, width) -> (B, N, width). paths (2, B): factors on what attention and MLP add to each sample."""
        q, k, v = self.qkv(self.ln_1(x)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        added = self.out(attended.transpose(1, 2).flatten(2))
        x = x + (added if paths is None else added * paths[0, :, None, None])
        added = self.mlp_out(self.act(self.mlp_in(self.ln_2(x))))
        return x + (added if paths is None else added * paths[1, :, None, None])


class VisionTransformer(nn.Module):
    """pixels (B, 3, H, W) -> pooled (B, width) and patches (B, h, w, width), both after the last layer norm."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embedding = nn.Conv2d(3, width, config.patch_size, config.patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.randn(width) * width**-0.5)
        head_width = width // config.heads
        if config.positions == "absolute":
            self.position_embedding = nn.Parameter(torch.randn(config.grid**2 + 1, width) * width**-0.5)
        else:
            self.class_angles = nn.Parameter(torch.randn(1, head_width // 2))
        self.ln_pre = nn.LayerNorm(width, config.norm_eps) if config.pre_norm else nn.Identity()
        self.blocks = nn.ModuleList(
            Block(width, config.heads, int(width * config.mlp_ratio), config.activation, config.norm_eps)
            for _ in range(config.depth)
        )
        self.ln_post = nn.LayerNorm(width, config.norm_eps)
        init_blocks(self.blocks, width, config.depth)

    def forward(
        self, pixels: torch.Tensor, kept: torch.Tensor | None = None, paths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Images must have the configured size, or that of `take`, with absolute positions; rotary ones take any
        multiple of a patch.

        In training: kept (B, n), the tokens of each image that are computed, the class token (0) first; the patches
        are then (B, n - 1, width). paths (depth, 2, B): factors on what each block's two branches add.
        """
        x = self.patch_embedding(pixels)
        grid = x.shape[-2:]
        x = torch.cat([self.class_embedding.expand(len(x), 1, -1), x.flatten(2).mT], dim=1)
        if self.config.positions == "absolute":
            x, angles = x + self.position_embedding, None
        else:
            angles = torch.cat([self.class_angles, self._patch_angles(*grid)])
        if kept is not None:
            x = x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1]))
            angles = None if angles is None else angles[kept][:, None]
        x = self.ln_pre(x)
        for number, block in enumerate(self.blocks):
            x = block(x, angles, paths=None if paths is None else paths[number])
        x = self.ln_post(x)
        return x[:, 0], x[:, 1:].unflatten(1, grid) if kept is None else x[:, 1:]

    def take(self, size: tuple[int, int]) -> None:
        """Take images of another height and width from now on: absolute positions are interpolated, rotary ones need
        nothing."""
        if self.config.positions == "absolute":
            patch = self.config.patch_size
            positions = resized_positions(self.position_embedding.detach(), (size[0] // patch, size[1] // patch))
            self.position_embedding = nn.Parameter(positions, requires_grad=False)

    def _patch_angles(self, height: int, width: int) -> torch.Tensor:
        """(height * width, head width / 2): the row's angles, then the column's."""
        device = self.class_angles.device
        quarter = self.class_angles.shape[1] // 2
        frequencies = self.config.rope_theta ** (-torch.arange(quarter, device=device, dtype=torch.float32) / quarter)
        row = torch.arange(height, device=device).repeat_interleave(width)[:, None] * frequencies
        column = torch.arange(width, device=device).repeat(height)[:, None] * frequencies
        return torch.cat([row, column], dim=1)


def resized_positions(positions: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Position embeddings (1 + s * s, D), the class token's first -> (1 + h * w, D) of a grid (h, w): bicubic and
    antialiased, as open_clip's resize_pos_embed and timm's resample_abs_pos_embed."""
    side = round((len(positions) - 1) ** 0.5)
    if (side, side) == grid:
        return positions
    patches = positions[1:].unflatten(0, (side, side)).permute(2, 0, 1)[None].float()
    resized = F.interpolate(patches, grid, mode="bicubic", antialias=True)
    return torch.cat([positions[:1], resized[0].permute(1, 2, 0).flatten(0, 1).to(positions)])


def init_blocks(blocks: nn.ModuleList, width: int, depth: int) -> None:
    """CLIP's initialisation: layers that write to the residual stream start smaller the deeper the tower is."""
    attention_std, mlp_std = width**-0.5, (2 * width) ** -0.5
    for block in blocks:
        assert isinstance(block, Block)
        for layer, std in (
            (block.qkv, attention_std),
            (block.out, attention_std * (2 * depth) ** -0.5),
            (block.mlp_in, mlp_std),
            (block.mlp_out, attention_std * (2 * depth) ** -0.5),
        ):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
