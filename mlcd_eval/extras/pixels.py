"""`--model python:mlcd_eval.extras.pixels:side_448` (or `side_896`): an encoder whose patch features are the pixels of
patches of 32 x 32, in grey. A control: whatever can be read at that size, it shows."""

from __future__ import annotations

import torch
from torch.nn.functional import pixel_unshuffle

from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, EncoderInfo
from mlcd_eval.encoders.identity import settings_digest
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.towers.preprocess import Preprocess

PATCH = 32


class Pixels(TorchEncoder):
    """patches: (B, side / 32, side / 32, 1024) of grey in [0, 1]. penultimate: their mean."""

    def __init__(self, side: int) -> None:
        self.model = torch.nn.Identity()
        self.preprocess = Preprocess(image_size=side, mean=(0.0,) * 3, std=(1.0,) * 3)
        name = f"pixels_{side}"
        self.info = EncoderInfo(
            spec=name,
            name=name,
            fingerprint=settings_digest({"name": name}),
            preprocessing=str(self.preprocess),
            layers={PENULTIMATE: PATCH**2, PATCHES: PATCH**2},
            image_size=(side, side),
            num_params=0,
            has_text=False,
        )

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        patches = pixel_unshuffle(pixels.mean(dim=1, keepdim=True), PATCH).permute(0, 2, 3, 1)
        return {PENULTIMATE: patches.mean(dim=(1, 2)), PATCHES: patches}


def side_448() -> Pixels:
    """Return the encoder at 448 x 448 pixels."""
    return Pixels(448)


def side_896() -> Pixels:
    """Return the encoder at 896 x 896 pixels."""
    return Pixels(896)
