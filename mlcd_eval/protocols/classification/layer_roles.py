"""Several layers of the same splits: the first one under the splits' own roles, the others under roles beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mlcd_eval.protocols.base import Features, ImageRequest

_AT = "@"


def with_layers(requests: Mapping[str, ImageRequest], layers: Sequence[str]) -> dict[str, ImageRequest]:
    """Return requests with those of the same images at other layers."""
    more = {f"{role}{_AT}{layer}": replace(each, layer=layer) for layer in layers for role, each in requests.items()}
    return {**requests, **more}


def split_roles(images: Mapping[str, Features]) -> list[str]:
    """Return the splits' own roles."""
    return [role for role in images if _AT not in role]


def split_of(role: str) -> str:
    """Return the role of the split whose features a role holds at some layer."""
    return role.partition(_AT)[0]


def at_role(images: Mapping[str, Features], role: str, layer: str) -> Features:
    """Return a split's features at a layer, those of its own role unless the layer has one beside it."""
    features = images.get(f"{role}{_AT}{layer}", images[role])
    assert list(features.keys) == list(images[role].keys), "layers of one split have the same rows"
    return features
