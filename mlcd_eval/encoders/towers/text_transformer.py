"""The text tower of this project's checkpoints: CLIP's causal transformer, read at the end-of-text token."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from mlcd_eval.encoders.towers.vit import Block, init_blocks


class TextConfig(BaseModel):
    """Shape of the tower; the vocabulary is that of open_clip's SimpleTokenizer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context_length: int = Field(default=77, ge=3)
    vocab_size: int = Field(default=49408, ge=49408)
    width: int = Field(ge=1)
    depth: int = Field(ge=1)
    heads: int = Field(ge=1)

    @model_validator(mode="after")
    def _fits(self) -> TextConfig:
        if self.width % self.heads:
            raise ValueError(f"width a multiple of {self.heads} heads, got {self.width}")
        return self


TEXT_SIZES = {
    "text_tiny": TextConfig(context_length=32, width=192, depth=4, heads=3),
    "text_base": TextConfig(width=512, depth=12, heads=8),
    "text_large": TextConfig(width=768, depth=12, heads=12),
}


class TextTransformer(nn.Module):
    """tokens (B, context_length) -> (B, embed_dim), by a linear head on the end-of-text position."""

    def __init__(self, config: TextConfig, embed_dim: int) -> None:
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.position_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, 4 * config.width, "gelu") for _ in range(config.depth)
        )
        self.ln_final = nn.LayerNorm(config.width)
        self.projection = nn.Parameter(torch.empty(config.width, embed_dim))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.position_embedding, std=0.01)
        nn.init.normal_(self.projection, std=config.width**-0.5)
        init_blocks(self.blocks, config.width, config.depth)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """The end-of-text token has the largest id of the vocabulary."""
        x = self.token_embedding(tokens) + self.position_embedding
        for block in self.blocks:
            x = block(x, causal=True)
        return self.ln_final(x)[torch.arange(len(x), device=x.device), tokens.argmax(dim=1)] @ self.projection
