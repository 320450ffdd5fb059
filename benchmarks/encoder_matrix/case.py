"""One row of the matrix: an architecture, how its small random model is made, and what its own library computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image


@dataclass(frozen=True)
class Expected:
    """What the model's own library gives for the images and texts, called as its documentation calls it.

    pixels: (B, 3, H, W), or None where the library has no transform of its own; layers: layer name of ours -> (B, D);
    texts: (T, D) in the joint space, None without a text tower.
    """

    layers: dict[str, torch.Tensor]
    pixels: torch.Tensor | None = None
    texts: torch.Tensor | None = None


@dataclass(frozen=True)
class Case:
    """architecture: as the field calls it; kind: the spec's kind (hf, timm, open_clip ...).

    build: makes the model in an empty folder, from its config at small size with weights of a fixed seed, and returns
    the spec to load; oracle: from that folder, RGB images and texts to what the library computes itself, without this
    package.
    """

    architecture: str
    kind: str
    build: Callable[[Path], str]
    oracle: Callable[[Path, Sequence[Image.Image], Sequence[str]], Expected]
    trust_remote_code: bool = False
