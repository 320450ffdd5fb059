"""transformers models: CLIP, SigLIP, DINOv2 and MLCD, from the hub or a local folder."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image
from torch import nn

from mlcd_eval.encoders.base import NO_TEXT, PATCHES, PENULTIMATE, PROJECTED, PROJECTED_PATCHES, Encoder, EncoderInfo
from mlcd_eval.encoders.identity import settings_digest, settings_of, tokenizer_settings
from mlcd_eval.encoders.places import pretrained_name
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.weights import as_checkpoint_error, num_params
from mlcd_eval.errors import CheckpointError, IncompatibleError

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json", "vocab.txt", "spiece.model")


@dataclass(frozen=True)
class Family:
    """How features are read from a class of models.

    tower: the image tower; norm: the layer norm that the tower's last hidden state has not been through; projection:
    from the pooled feature to the joint space; joint: whether there is a joint space (SigLIP's pooled feature
    is in it).
    """

    tower: Callable[[Any], Any]
    norm: Callable[[Any], nn.Module] | None = None
    projection: Callable[[Any], nn.Module] | None = None
    joint: bool = False
    has_text: bool = False


def _vision(model: Any) -> Any:
    """The image tower: a part of the model, or the model itself in newer releases."""
    return getattr(model, "vision_model", model)


def _post_layernorm(model: Any) -> Any:
    return _vision(model).post_layernorm


def _visual_projection(model: Any) -> Any:
    return model.visual_projection


FAMILIES = {
    "CLIPModel": Family(_vision, _post_layernorm, _visual_projection, joint=True, has_text=True),
    "CLIPVisionModelWithProjection": Family(_vision, _post_layernorm, _visual_projection, joint=True),
    "CLIPVisionModel": Family(_vision, _post_layernorm),
    "MLCDVisionModel": Family(_vision, _post_layernorm),
    "SiglipModel": Family(_vision, joint=True, has_text=True),
    "SiglipVisionModel": Family(_vision, joint=True),
    "Dinov2Model": Family(_vision),
    "Dinov2WithRegistersModel": Family(_vision),
}


@as_checkpoint_error
def load(spec: Spec) -> Encoder:
    """Model, image processor and (for two towers) tokenizer, by the architecture that config.json names."""
    where = pretrained_name(spec.target)
    options: dict[str, Any] = {"local_files_only": spec.offline, "trust_remote_code": spec.trust_remote_code}
    config = transformers.AutoConfig.from_pretrained(where, **options)
    named = config.architectures
    architecture = str(named[0]) if isinstance(named, list) and named else "none"
    if architecture not in FAMILIES or not hasattr(transformers, architecture):
        raise IncompatibleError(
            f"--model {spec.text!r}: got architecture {architecture}, expected one of {', '.join(FAMILIES)}"
        )
    model, info = getattr(transformers, architecture).from_pretrained(
        where, dtype=torch.float32, output_loading_info=True, **options
    )
    processor = transformers.AutoImageProcessor.from_pretrained(where, backend="pil", **options)
    tokenizer = _tokenizer(where, options) if FAMILIES[architecture].has_text else None
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise CheckpointError(
            f"--model {spec.text!r} holds weights of another architecture: {len(missing)} tensors of "
            f"{architecture} are missing, first {missing[0]}"
        )
    return HFEncoder(spec, model, FAMILIES[architecture], ImageTransform(processor), tokenizer)


def _tokenizer(where: str, options: dict[str, Any]) -> Any:
    """The tokenizer, or a text that says why there is none: images can be encoded all the same. Files of a tokenizer in
    a folder must be right; a hub repository cannot be listed offline, so there every failure counts as none."""
    folder = Path(where)
    if folder.is_dir():
        if not any((folder / file).is_file() for file in TOKENIZER_FILES):
            return f"has no tokenizer files in its folder ({', '.join(TOKENIZER_FILES)})"
        return transformers.AutoTokenizer.from_pretrained(where, **options)
    try:
        return transformers.AutoTokenizer.from_pretrained(where, **options)
    except (OSError, ValueError) as error:
        return f"has no tokenizer that can be loaded ({textwrap.shorten(str(error), 300, placeholder=' ...')})"


class ImageTransform:
    """The model's own image processor, applied to one PIL image. Picklable."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """RGB image -> (3, H, W) float32."""
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]

    def __str__(self) -> str:
        settings = self.processor.to_dict()
        return json.dumps({key: settings[key] for key in sorted(settings) if not key.startswith("_")}, default=str)


class HFEncoder(TorchEncoder):
    """penultimate: pooler_output, which is the class token (or SigLIP's attention pool) after the last layer norm.

    tokenizer: what `_tokenizer` returns, None without a text tower.
    """

    def __init__(self, spec: Spec, model: Any, family: Family, preprocess: ImageTransform, tokenizer: Any) -> None:
        self.model = model.eval().requires_grad_(False)
        self.preprocess = preprocess
        self._family = family
        self._tower = family.tower(model)
        self._tokenizer = None if isinstance(tokenizer, str) else tokenizer
        pixels = preprocess(Image.new("RGB", (8, 8)))
        with torch.inference_mode():
            probe = self._layers(pixels[None])
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(
                settings_of(model.config), self._tokenizer and tokenizer_settings(self._tokenizer)
            ),
            preprocessing=str(preprocess),
            layers={layer: tensor.shape[-1] for layer, tensor in probe.items()},
            image_size=(pixels.shape[1], pixels.shape[2]),
            num_params=num_params(model),
            has_text=self._tokenizer is not None,
            no_text=tokenizer if isinstance(tokenizer, str) else NO_TEXT,
        )

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        output = self._tower(pixel_values=pixels)
        pooled, hidden = output.pooler_output, output.last_hidden_state
        patch = self._tower.config.patch_size
        grid = (pixels.shape[-2] // patch, pixels.shape[-1] // patch)
        patches = hidden[:, hidden.shape[1] - grid[0] * grid[1] :]  # class and register tokens come first
        outputs = {
            PENULTIMATE: pooled,
            PATCHES: (self._family.norm(self.model)(patches) if self._family.norm else patches).unflatten(1, grid),
        }
        if self._family.joint:
            projection = self._family.projection(self.model) if self._family.projection else None
            outputs[PROJECTED] = projection(pooled) if projection else pooled
            if projection:  # SigLIP pools by attention: no single token is projected
                outputs[PROJECTED_PATCHES] = projection(outputs[PATCHES])
        return outputs

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """SigLIP was trained on texts padded to the full length, without a mask; CLIP pads to the longest."""
        if self._tokenizer is None:
            return super().encode_texts(texts)
        length = self.model.config.text_config.max_position_embeddings
        padding = "max_length" if self.model.config.model_type.startswith("siglip") else True
        tokens = self._tokenizer(list(texts), padding=padding, truncation=True, max_length=length, return_tensors="pt")
        inputs = {key: tokens[key].to(self.device) for key in ("input_ids", "attention_mask") if key in tokens}
        if padding == "max_length":
            inputs.pop("attention_mask", None)
        features = self.model.get_text_features(**inputs)
        return features if isinstance(features, torch.Tensor) else features.pooler_output
