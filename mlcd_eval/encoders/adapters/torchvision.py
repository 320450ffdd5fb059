"""Classification models of torchvision, as image towers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torchvision
from PIL import Image
from torch import nn

from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, Encoder, EncoderInfo
from mlcd_eval.encoders.identity import settings_digest
from mlcd_eval.encoders.pooling import MEAN, TOKEN
from mlcd_eval.encoders.published import setting_of
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.sizes import sizes_of
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.state_dicts import check_equal_shapes, read_state_dict
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.weights import as_checkpoint_error, num_params
from mlcd_eval.errors import CheckpointError

NUM_CLASSES = 1000
_MAPS = {"DenseNet": "features", "MNASNet": "layers", "ShuffleNetV2": "conv5", "VisionTransformer": "encoder"}
"""Class -> the module that gives the last feature map, where no module pools it."""
_ONE_SIZE = ("VisionTransformer", "MaxVit")
"""Classes whose images have one size."""


@as_checkpoint_error
def load(spec: Spec) -> Encoder:
    """A model with the weights of a file, published ones (`?weights=IMAGENET1K_V2`), or seeded random ones."""
    published = {weights.name: weights for weights in torchvision.models.get_model_weights(spec.target)}
    wanted = spec.options.get("weights", "")
    by_file = {Path(weights.url).name: name for name, weights in published.items()}
    known = wanted if wanted in published else by_file.get(Path(wanted).name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.random_seed or 0)
        model = torchvision.models.get_model(spec.target, weights=None, **_old_options(spec.target, known is not None))
    transforms, notes, parameters = _transforms(spec, published, known), dict(spec.provenance), num_params(model)
    classifier = _without_classifier(model)
    if wanted:
        if wanted in published:
            state, notes["read_from"] = _published_state(spec, published[wanted]), wanted
        else:
            read = read_state_dict(Path(wanted), spec.options.get("key")).fitted(model.state_dict())
            state, notes["read_from"] = dict(read.tensors), read.source
        dropped = (f"{classifier}.", "aux", "AuxLogits")
        state = {name: value for name, value in state.items() if not name.startswith(dropped)}
        own = model.state_dict()  # carries the layers' versions, which the file's may lack
        check_equal_shapes(state, own, f"--model {spec.text!r}: {wanted}")
        own.update(state)
        model.load_state_dict(own)
    return TorchvisionEncoder(spec, model, transforms, notes, parameters)


def _old_options(name: str, published: bool) -> dict[str, bool]:
    """Two models have heads for training only, and scale the pixels themselves if the weights are the published ones,
    which came from TensorFlow."""
    if name not in ("googlenet", "inception_v3"):
        return {}
    return {"aux_logits": False, "transform_input": published, "init_weights": True}


def _without_classifier(model: nn.Module) -> str:
    """Replace the last layer, which maps to the classes, by the identity; return its name. Its input is the feature."""
    name = [
        name
        for name, module in model.named_modules()
        if getattr(module, "out_features", getattr(module, "out_channels", None)) == NUM_CLASSES
        and "aux" not in name.lower()
    ][-1]
    owner, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(owner), leaf, nn.Identity())
    return name


def _published_state(spec: Spec, weights: Any) -> dict[str, torch.Tensor]:
    """Published weights, whose hash torchvision checks. Offline, from PyTorch's cache."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name
    if spec.offline and not cached.is_file():
        raise CheckpointError(f"--model {spec.text!r}: no {cached}, expected it there offline")
    state: dict[str, torch.Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    return state


def _transforms(spec: Spec, published: dict[str, Any], known: str | None) -> Callable[[Image.Image], torch.Tensor]:
    """The weights' own inference transform; a file's is recognised by the name that torchvision publishes it under."""
    chosen = spec.options.get("like", known)
    if chosen not in published:
        described = {name: " ".join(str(weights.transforms()).split()) for name, weights in published.items()}
        setting = setting_of(spec, described, "preprocessing")
        chosen = next(name for name, text in described.items() if text == setting)
    transforms: Callable[[Image.Image], torch.Tensor] = published[chosen].transforms()
    return transforms


class TorchvisionEncoder(TorchEncoder):
    """penultimate: the input of the last layer; patches: the last feature map before it is pooled, or a ViT's tokens
    after the last norm. The map is caught by a hook, so that one forward pass gives both."""

    reentrant = False

    def __init__(self, spec: Spec, model: nn.Module, transforms: Any, notes: dict[str, str], parameters: int) -> None:
        self.model = model.eval().requires_grad_(False)
        self.preprocess = transforms
        self._caught: list[torch.Tensor] = []  # shared with encoders of other sizes, since the hook fills it
        self._watch(model)
        pixels = transforms(Image.new("RGB", (8, 8)))
        with torch.inference_mode():
            probe = self._layers(pixels[None])
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(spec.target),
            preprocessing=" ".join(str(transforms).split()),
            layers={layer: tensor.shape[-1] for layer, tensor in probe.items()},
            image_size=(pixels.shape[1], pixels.shape[2]),
            num_params=parameters,
            has_text=False,
            extra={**notes, "pooling": TOKEN if type(model).__name__ == "VisionTransformer" else MEAN},
            sizes=None
            if type(model).__name__ in _ONE_SIZE
            else sizes_of((pixels.shape[1], pixels.shape[2]), probe[PATCHES], transforms, "native"),
        )

    def _watch(self, model: nn.Module) -> None:
        name = _MAPS.get(type(model).__name__)
        if name is not None:
            model.get_submodule(name).register_forward_hook(lambda _, __, output: self._keep(output))
            return
        pools = [module for name, module in model.named_modules() if _pools_the_map(name, module)]
        pools[-1].register_forward_pre_hook(lambda _, inputs: self._keep(inputs[0]))

    def _keep(self, features: torch.Tensor) -> None:
        self._caught[:] = [features]

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        pooled = self.model(pixels)
        features = self._caught.pop()
        if type(self.model).__name__ == "DenseNet":
            features = features.relu()
        if features.dim() == 3:
            patch = self.model.patch_size
            features = features[:, 1:].unflatten(1, (pixels.shape[-2] // patch, pixels.shape[-1] // patch))
        else:
            features = features.permute(0, 2, 3, 1)
        return {PENULTIMATE: pooled, PATCHES: features}


def _pools_the_map(name: str, module: nn.Module) -> bool:
    """Whether this is the model's pooling, not that of a squeeze-and-excitation block."""
    return isinstance(module, nn.AdaptiveAvgPool2d) and name.split(".")[0] in ("avgpool", "classifier")
