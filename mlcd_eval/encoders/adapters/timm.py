"""timm models: image towers without text."""

from __future__ import annotations

from typing import Any

import timm
import timm.data
import torch

from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, Encoder, EncoderInfo
from mlcd_eval.encoders.identity import settings_digest
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.weights import as_checkpoint_error, num_params
from mlcd_eval.errors import CheckpointError, ConfigError, nearest


@as_checkpoint_error
def load(spec: Spec) -> Encoder:
    """A timm model with pretrained weights, those of a local `?checkpoint=FILE`, or seeded random ones; `img_size=N`
    where the architecture depends on it."""
    name, checkpoint = spec.target, spec.options.get("checkpoint", "")
    if not name.startswith(("hf-hub:", "hf_hub:", "local-dir:")) and not timm.is_model(name):
        raise ConfigError(f"--model {spec.text!r}: timm has no model {name!r}{nearest(name, timm.list_models())}")
    pretrained = not checkpoint and spec.random_seed is None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.random_seed or 0)
        model = _create(spec, pretrained)
    if checkpoint:
        _load_headless(spec, model, checkpoint)
    return TimmEncoder(spec, model)


def _size(spec: Spec) -> dict[str, int]:
    """The keyword argument `img_size` of timm's functions, where the spec has one."""
    return {key: int(value) for key, value in spec.options.items() if key == "img_size"}


def _create(spec: Spec, pretrained: bool) -> Any:
    try:
        return timm.create_model(spec.target, pretrained=pretrained, **_size(spec))
    except TypeError as error:
        if "'img_size'" not in str(error):
            raise
        raise ConfigError(f"--model {spec.text!r}: {spec.target} has no img_size, expected none") from error


def _load_headless(spec: Spec, model: Any, checkpoint: str) -> None:
    """Load all weights but the classifier's, which nothing here reads: the file's may be for any number of classes, or
    missing."""
    with_head = set(model.state_dict())
    model.reset_classifier(0)
    headless = model.state_dict()
    head = with_head - set(headless)

    def fitting(state: dict[str, Any], _: Any) -> dict[str, Any]:
        state = {key: value for key, value in state.items() if key not in head}
        expected, got = ({key: _shape(value) for key, value in side.items()} for side in (headless, state))
        wrong = sorted(key for key in {*expected, *got} if expected.get(key) != got.get(key))
        if wrong:
            raise CheckpointError(
                f"--model {spec.text!r}: {checkpoint} holds weights of another architecture, {len(wrong)} tensors "
                f"differ: first {wrong[0]}, got {got.get(wrong[0], 'none')}, expected {expected.get(wrong[0], 'none')}"
            )
        return state

    timm.models.load_checkpoint(model, checkpoint, filter_fn=fitting)


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, torch.Tensor) else type(value).__name__


class TimmEncoder(TorchEncoder):
    """penultimate: the pooled feature that the classifier would take."""

    reentrant = True

    def __init__(self, spec: Spec, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)
        data_config = timm.data.resolve_data_config(_size(spec), model=model)
        self.preprocess = timm.data.create_transform(**data_config, is_training=False)
        _, height, width = data_config["input_size"]
        with torch.inference_mode():
            probe = self._layers(torch.zeros(1, 3, height, width))
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(),  # a timm model keeps its whole config in attributes of its modules
            preprocessing=" ".join(str(self.preprocess).split()),
            layers={layer: tensor.shape[-1] for layer, tensor in probe.items()},
            image_size=(height, width),
            num_params=num_params(model),
            has_text=False,
            extra=spec.provenance,
        )

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.model.forward_features(pixels)
        outputs = {PENULTIMATE: self.model.forward_head(features, pre_logits=True)}
        grid = _grid(getattr(self.model, "patch_embed", None), pixels)
        if features.dim() == 3 and grid is not None:
            outputs[PATCHES] = features[:, self.model.num_prefix_tokens :].unflatten(1, grid)
        return outputs


def _grid(patch_embed: Any, pixels: torch.Tensor) -> tuple[int, int] | None:
    """(h, w) of the patches of these pixels, which need not be of the size that the model was built for."""
    if hasattr(patch_embed, "dynamic_feat_size"):
        height, width = patch_embed.dynamic_feat_size(pixels.shape[-2:])
        return height, width
    return getattr(patch_embed, "grid_size", None)
