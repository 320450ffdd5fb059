"""How long texts may be for a model of transformers: as trained, fewer tokens, or more by interpolated positions."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from mlcd_eval.encoders.families.rows import Text
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import IncompatibleError

POSITIONS = ("position_embedding", "position_embeddings")
"""The last part of the name of learned positions in text towers of transformers."""
INDICES = ("position_ids", "token_type_ids")
"""Buffers beside them, (1, positions)."""


def context_length(spec: Spec, model: Any, recipe: Text) -> int:
    """Return how many tokens of a text are read, after lengthening the text tower where the spec asks for more than it
    has positions.

    Raises IncompatibleError where these cannot be interpolated.
    """
    if "context" not in spec.options and recipe.length is not None:
        return recipe.length
    positions = int(model.config.text_config.max_position_embeddings)
    asked = int(spec.options.get("context", positions))
    if asked > positions:
        _lengthen(spec, model, positions, asked)
    return asked


def _lengthen(spec: Spec, model: Any, positions: int, asked: int) -> None:
    found = [
        name
        for name, module in model.named_modules()
        if name.rpartition(".")[2] in POSITIONS and "vision" not in name and "visual" not in name
        if isinstance(module, nn.Embedding) and module.num_embeddings == positions
    ]
    if len(found) != 1:
        raise IncompatibleError(
            f"--model {spec.text!r}: got context={asked}, but its text tower has no learned positions to interpolate: "
            f"expected at most {positions}"
        )
    parent, _, name = found[0].rpartition(".")
    embeddings = model.get_submodule(parent)
    weight = getattr(embeddings, name).weight.detach()
    longer = nn.functional.interpolate(weight.T[None], size=asked, mode="linear", align_corners=False)[0].T
    setattr(embeddings, name, nn.Embedding(asked, longer.shape[1], _weight=longer.contiguous()))
    for buffer in INDICES:
        old = getattr(embeddings, buffer, None)
        if isinstance(old, torch.Tensor) and old.shape == (1, positions):
            new = torch.arange(asked)[None] if buffer == "position_ids" else old.new_zeros(1, asked)
            setattr(embeddings, buffer, new.to(old))
    model.config.text_config.max_position_embeddings = asked
