"""OneVision-Encoder's head for attentive probing: SigLIP 2's attention pooling, a layer norm and a linear layer.

eval_encoder/attentive_probe.py and model_factory/layers.py of EvolvingLMMs-Lab/OneVision-Encoder at c2cd3e0: a learned
query with a projection of its own attends to the tokens, which are not normalised first; RMS norm and an MLP of four
times the width with a residual follow; the last layer's weights start a thousand times smaller.

Recipe 1: AdamW, a learning rate that falls linearly to 1e-7, gradients clipped to norm 5, labels smoothed by 0.1,
30 passes in batches of 32 as its scripts do for small data sets (10 for large ones, in batches of 128). A change raises
RECIPE.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mlcd_eval.protocols.classification.attentive_head import attended, heads_of
from mlcd_eval.protocols.classification.attentive_training import Head, Recipe

RECIPE = 1
LAST_RATE = 1e-7
_DEVIATION, _SMALL = 0.02, 1e-3  # of first weights; factor of the last layer's


class OneVisionHead(Head):
    """tokens (B, N, D) -> logits (B, outputs)."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.heads = heads_of(width)
        self.probe = nn.Parameter(torch.randn(width))
        self.query, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, width)
        self.scale = nn.Parameter(torch.ones(width))
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.norm = nn.LayerNorm(width)
        self.linear = nn.Linear(width, outputs)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=_DEVIATION)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        for layer in (self.query, self.key, self.value):  # one matrix (3 D, D) there, by xavier_uniform_
            nn.init.uniform_(layer.weight, -((6 / (4 * width)) ** 0.5), (6 / (4 * width)) ** 0.5)
        with torch.no_grad():
            self.linear.weight.mul_(_SMALL)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the logits."""
        query = self.query(self.probe)
        pooled = self.out(attended(tokens, query, self.key.weight, self.value, self.heads))
        pooled = pooled + self.mlp(self._rms_norm(pooled))
        return self.linear(self.norm(pooled)).float()

    def _rms_norm(self, pooled: Tensor) -> Tensor:
        """As nn.RMSNorm, of any precision of the rows (B, D)."""
        rows = pooled.float()
        return rows * (rows.square().mean(1, keepdim=True) + torch.finfo(rows.dtype).eps).rsqrt() * self.scale


def _linear(lr: float, step: int, steps: int) -> float:
    return lr + (min(LAST_RATE, lr) - lr) * step / steps


ONEVISION = Recipe(RECIPE, OneVisionHead, epochs=30, least_steps=0, batch=32, clip=5.0, smoothing=0.1, rate=_linear)
