"""What encoders around one PyTorch module share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from mlcd_eval.encoders.base import Encoder


class TorchEncoder(Encoder):
    """model: holds the weights. Subclasses implement `_layers`: pixels (B, 3, H, W) -> every layer, in one forward
    pass."""

    model: Any

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """One forward pass of the image tower."""
        outputs = self._layers(pixels)
        return {layer: outputs[layer] for layer in layers}

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """Move the weights; they stay fp32."""
        self.model.to(device)
        if device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device
