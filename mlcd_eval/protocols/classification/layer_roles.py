"""Several layers of the same splits: the first one under the splits' own roles, the others under roles beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlcd_eval.protocols.base import Features, ImageRequest


def with_layers(requests: Mapping[str, ImageRequest], layers: Sequence[str]) -> dict[str, ImageRequest]:
    """Return requests with those of the same images at other layers."""
    more = {f"{role}/{layer}": replace(each, layer=layer) for layer in layers for role, each in requests.items()}
    return {**requests, **more}


def split_roles(images: Mapping[str, Features]) -> list[str]:
    """Return the splits' own roles."""
    return [role for role in images if "/" not in role]


def at_role(images: Mapping[str, Features], role: str, layer: str) -> Features:
    """Return a split's features at a layer, those of its own role unless the layer has one beside it."""
    features = images.get(f"{role}/{layer}", images[role])
    assert list(features.keys) == list(images[role].keys), "layers of one split have the same rows"
    return features
