"""timm models: image towers without text."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import timm
import timm.data
import torch

from mlcd_eval.encoders.adapters.timm_naflex import NaflexTransform, unpacked
from mlcd_eval.encoders.adapters.timm_weights import create_with_file
from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, Encoder, EncoderInfo
from mlcd_eval.encoders.blocks import found_stack
from mlcd_eval.encoders.bounds import check_config
from mlcd_eval.encoders.identity import settings_digest
from mlcd_eval.encoders.layers import NO_BLOCKS
from mlcd_eval.encoders.places import prefixed
from mlcd_eval.encoders.pooling import NONE, TOKEN, pooling_of
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.sharing import with_own_modules
from mlcd_eval.encoders.sizes import Sizes, sizes_of
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.weights import as_checkpoint_error, num_params
from mlcd_eval.errors import ConfigError

AUTHORS_POOLING = {r"_dinov3": TOKEN}
"""Architectures that timm pools otherwise than their authors' evaluation does. DINOv3: kNN and linear probes are of the
class token (dinov3/eval); timm keeps the mean for compatibility (pull request 2730)."""


@as_checkpoint_error
def load(spec: Spec) -> Encoder:
    """A timm model with pretrained weights, those of a local file, or seeded random ones."""
    size = {"img_size": int(spec.options["img_size"])} if "img_size" in spec.options else {}
    repository = prefixed(spec.target).repository
    if repository is not None:
        images, _, arguments = timm.models.load_model_config_from_hf(repository)
        check_config(f"--model {spec.text!r}: its config", {"pretrained_cfg": images, "model_args": arguments})
    model, notes = _create(spec, size)
    tested = {key: model.pretrained_cfg.get(f"test_{key}") for key in ("input_size", "crop_pct")}
    test_size = "test_size" in spec.options
    if test_size and not any(tested.values()):
        raise ConfigError(
            f"--model {spec.text!r}: timm validates these weights as they were trained, expected no test_size"
        )
    if test_size and tested["input_size"] and model.pretrained_cfg.get("fixed_input_size"):
        model, notes = _create(spec, {"img_size": tested["input_size"][-1]})
    if any(tested.values()) and not size:
        side = (tested["input_size"] or model.pretrained_cfg["input_size"])[-1]
        crop = tested["crop_pct"] or model.pretrained_cfg["crop_pct"]
        notes["validated_at"] = f"{side} pixels, crop {crop}" + ("" if test_size else "; not used: ?test_size=true")
    _set_pooling(spec, model)
    config = timm.data.resolve_data_config(size, model=model, use_test_size=test_size)
    try:
        return TimmEncoder(spec, model, config, notes)
    except (RuntimeError, AssertionError) as error:
        if not size:
            raise
        raise ConfigError(
            f"--model {spec.text!r}: {spec.target} cannot take images of {size['img_size']} pixels ({error})"
        ) from error


def _create(spec: Spec, size: dict[str, int]) -> tuple[Any, dict[str, str]]:
    """The model, for images of another size where its architecture depends on that, and notes for the record."""
    name, file = spec.target, spec.options.get("checkpoint", "")
    path = prefixed(spec.target).path
    if path is not None and path.is_file():
        name, file = f"local-dir:{path.parent}", file or str(path)
    notes = spec.provenance
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(spec.random_seed or 0)
        try:
            if not file:
                return timm.create_model(name, pretrained=spec.random_seed is None, **size), notes
            model, source = create_with_file(spec, name, Path(file), **size)
            return model, {**notes, "read_from": source}
        except TypeError as error:
            if not size or "'img_size'" not in str(error):
                raise
            return _create(spec, {})  # a convolutional network takes any size


def _set_pooling(spec: Spec, model: Any) -> None:
    """What the spec or the folder's config says, else the authors'; by timm's own function, which drops the
    classifier."""
    name = str(model.pretrained_cfg.get("architecture", ""))
    pooling = spec.options.get("global_pool")
    if pooling is None and "global_pool" not in getattr(model, "pretrained_model_args", {}):
        pooling = next((pool for pattern, pool in AUTHORS_POOLING.items() if re.search(pattern, name)), None)
        pooling = pooling if getattr(model, "cls_token", None) is not None else None
    if pooling is None or pooling == pooling_of(model):
        return
    try:
        model.reset_classifier(0, "" if pooling == NONE else pooling)
    except (AssertionError, TypeError, ValueError, NotImplementedError, AttributeError) as error:
        raise ConfigError(f"--model {spec.text!r}: {name} cannot be pooled by {pooling!r} ({error})") from error


class TimmEncoder(TorchEncoder):
    """penultimate: the pooled feature that the classifier would take; patches: tokens without class and register
    tokens, or the last feature map."""

    reentrant = True

    def __init__(self, spec: Spec, model: Any, data_config: dict[str, Any], notes: dict[str, str]) -> None:
        self.model = model.eval().requires_grad_(False)
        self._naflex = isinstance(model, timm.models.NaFlexVit)
        _, height, width = data_config["input_size"]
        packed: int | None = None
        if self._naflex:
            patch = model.embeds.patch_size
            packed = (height // patch[0]) * (width // patch[1])
            self.preprocess = NaflexTransform(patch, packed, data_config)
            probe_pixels = torch.zeros(1, 1, 1 + packed, math.prod(patch) * 3)
            probe_pixels[:, :, 0, :2] = torch.tensor([height // patch[0], width // patch[1]])
        else:
            self.preprocess = timm.data.create_transform(**data_config, is_training=False)
            probe_pixels = torch.zeros(1, 3, height, width)
        self._pooling = pooling_of(model)
        with torch.inference_mode():
            probe, self.stack = found_stack(
                model,
                "blocks",
                lambda: self._layers(probe_pixels),
                has_class=getattr(getattr(model, "embeds", model), "cls_token", None) is not None,
                tokens_of_patches=packed,
            )
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(),  # a timm model keeps its whole config in attributes of its modules
            preprocessing=" ".join(str(self.preprocess).split()),
            layers={layer: tensor.shape[-1] for layer, tensor in probe.items()},
            image_size=(height, width),
            num_params=num_params(model),
            has_text=False,
            extra={**notes, "pooling": self._pooling},
            blocks=self.stack.info if self.stack else NO_BLOCKS,
            sizes=self._sizes((height, width), probe.get(PATCHES)),
        )

    def _sizes(self, size: tuple[int, int], patches: torch.Tensor | None) -> Sizes | None:
        """Convolutional networks take any size, other architectures those that timm can set."""
        fixed = self.model.pretrained_cfg.get("fixed_input_size") and not hasattr(self.model, "set_input_size")
        if self._naflex or fixed:
            return None
        learned = any("pos_embed" in name or "relative_position" in name for name, _ in self.model.named_parameters())
        patch = getattr(getattr(self.model, "patch_embed", None), "patch_size", (None,))[0]
        return sizes_of(size, patches, self.preprocess, "interpolated" if learned else "native", patch)

    def _of_size(self, size: tuple[int, int]) -> TimmEncoder:
        if not hasattr(self.model, "set_input_size"):
            return super()._of_size(size)
        other = with_own_modules(self)
        other.model.set_input_size(img_size=size)
        return other

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        if self._naflex:
            features = self.model.forward_features(**unpacked(pixels))
            return {PENULTIMATE: self.model.forward_head(**features, pre_logits=True)}
        features = self.model.forward_features(pixels)
        outputs = {} if self._pooling == NONE else {PENULTIMATE: self.model.forward_head(features, pre_logits=True)}
        patches = self._patches(features, pixels)
        return outputs if patches is None else {**outputs, PATCHES: patches}

    def _mask(self, pixels: torch.Tensor) -> torch.Tensor | None:
        return unpacked(pixels)["patch_valid"] if self._naflex else None

    def _patches(self, features: Any, pixels: torch.Tensor) -> torch.Tensor | None:
        """(B, h, w, D), or None where a model's tokens are no grid (PiT and CoaT have several stages, Hiera's are in an
        order of its own)."""
        if not isinstance(features, torch.Tensor):
            return None
        if features.dim() == 4:
            return features if getattr(self.model, "output_fmt", "NCHW") == "NHWC" else features.permute(0, 2, 3, 1)
        grid = _grid(getattr(self.model, "patch_embed", None), pixels)
        prefix = getattr(self.model, "num_prefix_tokens", 0)
        if grid is None or features.shape[1] != prefix + math.prod(grid):
            return None
        return features[:, prefix:].unflatten(1, grid)


def _grid(patch_embed: Any, pixels: torch.Tensor) -> tuple[int, int] | None:
    """(h, w) of the patches of these pixels, which need not be of the size that the model was built for."""
    if hasattr(patch_embed, "dynamic_feat_size"):
        height, width = patch_embed.dynamic_feat_size(pixels.shape[-2:])
        return height, width
    return getattr(patch_embed, "grid_size", None)
