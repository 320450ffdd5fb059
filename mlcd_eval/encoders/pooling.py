"""Which pooling a model has, in one set of words for every library."""

from __future__ import annotations

from typing import Any

TOKEN, MEAN, ATTENTION, NONE = "token", "avg", "map", "none"
"""The class token, the mean of patches or of the feature map, a learned attention pool, and no pooling."""

_WORDS = {"tok": TOKEN, "": NONE}


def pooling_of(model: Any) -> str:
    """What a model of timm or open_clip says about itself; timm's convolutional poolings (max, avgmax) by their names.

    The module that pools is asked first, since `reset_classifier` of timm may leave the model's own attribute behind.
    """
    head = getattr(model, "head", None)
    if getattr(model, "attn_pool", None) is not None or getattr(model, "attnpool", None) is not None:
        return ATTENTION
    for owner, name in ((head, "global_pool"), (head, "pool_type"), (model, "global_pool"), (model, "pool_type")):
        value = getattr(owner, name, None)
        value = getattr(value, "pool_type", value)
        if isinstance(value, str):
            return _WORDS.get(value, value)
    return MEAN
