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

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlcd_eval.protocols.classification.attentive_training import Head, Recipe

RECIPE = 1
WARMUP = 0.1
HEAD_WIDTH = 64


class AttentiveHead(Head):
    """A query's own projection and a bias of the keys would change no function that the head can learn: the first is
    absorbed in the query, softmax cancels the second."""

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
        pooled = attended(x, self.query, self.key.weight, self.value, self.heads)
        return self.linear(self.norm(self.out(pooled))).float()


def attended(tokens: Tensor, query: Tensor, key: Tensor, value: nn.Linear, heads: int) -> Tensor:
    """Return what a query (D,) reads by multi-head attention from tokens (B, N, D), before the output's projection:
    (B, D). key: the weights (D, D) of the keys' projection, whose bias softmax would cancel.

    The query is the same for all images, so that keys need not be computed: a head's query, brought through the
    projection of keys once, is a direction whose product with a token is its score; and since values are linear in
    tokens, tokens are averaged first and the averages projected.
    """
    queries, keys, values = (weight.unflatten(0, (heads, -1)) for weight in (query, key, value.weight))
    directions = torch.einsum("hd,hdc->ch", queries, keys) * queries.shape[1] ** -0.5
    weights = (tokens @ directions).softmax(dim=1)  # (B, N, heads)
    averages = weights.mT @ tokens  # (B, heads, D)
    return torch.einsum("bhc,hdc->bhd", averages, values).flatten(1) + value.bias


def heads_of(width: int) -> int:
    """Return the most heads of at least HEAD_WIDTH dimensions that divide a width; 1 for a smaller width."""
    return max(heads for heads in range(1, max(1, width // HEAD_WIDTH) + 1) if width % heads == 0)


def _warm_up_and_cosine(lr: float, step: int, steps: int) -> float:
    warmup = math.ceil(WARMUP * steps)
    return lr * min(1.0, (step + 1) / warmup) * (1 + math.cos(math.pi * step / steps)) / 2


AIM = Recipe(
    RECIPE,
    AttentiveHead,
    epochs=20,
    least_steps=300,
    batch=64,
    clip=1.0,
    smoothing=0.0,
    rate=_warm_up_and_cosine,
)
