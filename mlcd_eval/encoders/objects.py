"""Models that are objects in memory: an Encoder, a module of open_clip or transformers, or any other nn.Module.

The object itself stays as it is. A module is used through a copy that shares its weights, so that evaluation mode,
frozen parameters and another device do not reach the caller's own.
"""

from __future__ import annotations

import copy
import inspect
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import nn

from mlcd_eval.encoders.base import (
    PATCHES,
    PENULTIMATE,
    PROJECTED,
    PROJECTED_PATCHES,
    Encoder,
    EncoderInfo,
    Preprocess,
)
from mlcd_eval.encoders.identity import fingerprint, settings_digest
from mlcd_eval.encoders.kinds import KINDS
from mlcd_eval.encoders.sharing import sharing_weights
from mlcd_eval.encoders.spec import OBJECT, Spec, object_spec
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.weights import num_params
from mlcd_eval.errors import ConfigError, nearest

LAYERS = (PENULTIMATE, PROJECTED, PATCHES, PROJECTED_PATCHES)
NO_TEXT = "was given without tokenizer= or encode_text="
OPEN_CLIP = ("open_clip.model.CLIP", "open_clip.model.CustomTextCLIP", "open_clip.coca_model.CoCa")
TRANSFORMERS = ("transformers.modeling_utils.PreTrainedModel",)


def as_encoder(
    model: Any,
    preprocess: Callable[[Image.Image], torch.Tensor] | Any | None = None,
    tokenizer: Callable[..., Any] | None = None,
    encode_text: Callable[..., torch.Tensor] | None = None,
) -> Encoder:
    """Return an encoder around a model in memory, with the fingerprint of all that its features depend on.

    The arguments are those of `evaluate`. Raises ConfigError for an object that is no model, arguments that do not fit
    it, and outputs that are no features; IncompatibleError for an architecture that the library's adapter lacks.
    """
    spec = Spec(object_spec(model), OBJECT, _class_name(model), {})
    if isinstance(model, Encoder):
        if preprocess is not None or tokenizer is not None or encode_text is not None:
            raise ConfigError(
                f"evaluate: {_class_name(model)} is an Encoder, which has its own preprocessing and texts: expected "
                f"preprocess=, tokenizer= and encode_text= only with modules"
            )
        encoder: Encoder = GivenEncoder(spec, model)
        return _identified(encoder, model)
    if not isinstance(model, nn.Module):
        raise ConfigError(
            f"evaluate: model is a {_class_name(model)}, expected a spec such as 'hf:PATH', an Encoder or an nn.Module"
        )
    if preprocess is None:
        raise ConfigError(
            f"evaluate: {_class_name(model)} came without preprocess=, expected a function from a PIL image to a "
            f"tensor (3, H, W), or the image processor of a transformers model"
        )
    module = _unwrapped(model)
    shared = sharing_weights(module)
    if isinstance(encode_text, types.MethodType) and encode_text.__self__ in (model, module):
        encode_text = types.MethodType(encode_text.__func__, shared)
    if encode_text is None and _is_of(module, OPEN_CLIP):
        encoder = _open_clip(spec, shared, preprocess, tokenizer)
    elif encode_text is None and _is_of(module, TRANSFORMERS):
        encoder = _transformers(spec, shared, preprocess, tokenizer)
    else:
        encoder = ModuleEncoder(spec, shared, preprocess, tokenizer, encode_text)
    return _identified(encoder, encoder)


def _class_name(model: object) -> str:
    """Return the name of an object's class, without its module."""
    return type(model).__name__


def _identified(encoder: Encoder, holder: Encoder) -> Encoder:
    """Set the whole fingerprint. holder: the encoder whose attributes hold the weights."""
    encoder.info = replace(encoder.info, fingerprint=fingerprint(holder, KINDS[OBJECT]))
    return encoder


class GivenEncoder(Encoder):
    """A user's encoder under an info of ours, so that the user's own object keeps its info."""

    def __init__(self, spec: Spec, encoder: Encoder) -> None:
        if not isinstance(getattr(encoder, "info", None), EncoderInfo):
            raise ConfigError(f"evaluate: {_class_name(encoder)} has no `info`, expected an EncoderInfo in it")
        self._encoder = encoder
        self.info = replace(encoder.info, spec=spec.text, name=encoder.info.name or _class_name(encoder))
        self.preprocess = encoder.preprocess
        self.reentrant, self.costed = encoder.reentrant, encoder.costed

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Encode images by the user's encoder."""
        return self._encoder.encode_images(pixels, layers)

    def resized(self, size: tuple[int, int]) -> Encoder:
        """Return the user's encoder for images of another size."""
        other, given = copy.copy(self), self._encoder.resized(size)
        other._encoder, other.preprocess = given, given.preprocess
        both = settings_digest(self.info.fingerprint, given.info.fingerprint)
        preprocessing = given.info.preprocessing
        other.info = replace(self.info, fingerprint=both, image_size=given.info.image_size, preprocessing=preprocessing)
        return other

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Encode texts by the user's encoder."""
        return self._encoder.encode_texts(texts)

    def segment(self, image: Image.Image, expression: str) -> Any:
        """Return the mask that the user's encoder makes."""
        return self._encoder.segment(image, expression)

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str], max_new_tokens: int = 32) -> list[str]:
        """Return the answers that the user's encoder gives."""
        return self._encoder.answer(images, questions, max_new_tokens)

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """Move the user's encoder."""
        self._encoder.to(device, precision)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._encoder.device


class ModuleEncoder(TorchEncoder):
    """Any module. It maps pixels (B, 3, H, W) to features (B, D), by `encode_image` where it has one, else by
    `forward`; or to {layer: features}, with the names of our layers.

    A single output is `penultimate`, and with texts `projected` too.
    """

    def __init__(self, spec: Spec, model: nn.Module, preprocess: Preprocess, tokenizer: Any, encode_text: Any) -> None:
        self.model = model
        self.preprocess = preprocess
        self._encode_image = getattr(model, "encode_image", model)
        self._tokenizer = tokenizer
        self._encode_text: Any = encode_text if encode_text is not None else getattr(model, "encode_text", None)
        has_text = encode_text is not None or tokenizer is not None
        if has_text and not callable(self._encode_text):
            raise ConfigError(
                f"evaluate: {spec.target} has no method encode_text, expected encode_text= beside tokenizer="
            )
        self._single = (PENULTIMATE, PROJECTED) if has_text else (PENULTIMATE,)
        pixels = self._pixels(spec)
        with torch.inference_mode():
            outputs = self._layers(pixels[None].to(self.device))
        self.info = EncoderInfo(
            spec=spec.text,
            name=spec.target,
            fingerprint=settings_digest(_source(type(model)), _source(preprocess), _source(encode_text)),
            preprocessing=_in_words(preprocess),
            layers={layer: output.shape[-1] for layer, output in outputs.items()},
            image_size=(pixels.shape[-2], pixels.shape[-1]),
            num_params=num_params(model),
            has_text=has_text,
            no_text=NO_TEXT,
        )

    def _pixels(self, spec: Spec) -> torch.Tensor:
        """Return the pixels of a grey image. Raises ConfigError unless they are a tensor (3, H, W)."""
        pixels = self.preprocess(Image.new("RGB", (96, 72), (128, 128, 128)))
        if not isinstance(pixels, torch.Tensor) or pixels.dim() != 3:
            shape = tuple(pixels.shape) if isinstance(pixels, torch.Tensor) else type(pixels).__name__
            raise ConfigError(f"evaluate: preprocess= of {spec.target} gave {shape}, expected a tensor (3, H, W)")
        return pixels

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        output = self._encode_image(pixels)
        if isinstance(output, torch.Tensor) and output.dim() == 2:
            return dict.fromkeys(self._single, output)
        name = _class_name(self.model)
        if not isinstance(output, Mapping) or not all(isinstance(part, torch.Tensor) for part in output.values()):
            shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise ConfigError(
                f"evaluate: {name} gave {shape} for pixels {tuple(pixels.shape)}, expected features (B, D), or "
                f"{{layer: features}} with layers of {', '.join(LAYERS)}"
            )
        for layer in output:
            if layer not in LAYERS:
                raise ConfigError(
                    f"evaluate: {name} gave the layer {layer!r}, expected some of {', '.join(LAYERS)}"
                    f"{nearest(str(layer), LAYERS)}"
                )
        return dict(output)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Encode texts by `encode_text`, which takes the texts themselves or, with a tokenizer, its output."""
        if not self.info.has_text:
            return super().encode_texts(texts)
        if self._tokenizer is None:
            return self._encode_text(list(texts))
        tokens = self._tokenizer(list(texts))
        if isinstance(tokens, Mapping):
            return self._encode_text(**{key: value.to(self.device) for key, value in tokens.items()})
        return self._encode_text(tokens.to(self.device))


def _open_clip(spec: Spec, model: nn.Module, preprocess: Any, tokenizer: Any) -> Encoder:
    """Return the encoder of the open_clip adapter, whose layers are those of the spec `open_clip:`."""
    import open_clip

    from mlcd_eval.encoders.adapters.open_clip import OpenClipEncoder

    known = tokenizer if tokenizer is not None else open_clip.SimpleTokenizer()  # never called without has_text
    encoder = OpenClipEncoder(spec, model, preprocess, known, {})
    encoder.info = replace(encoder.info, preprocessing=_in_words(preprocess))
    return encoder if tokenizer is not None else _without_texts(encoder)


def _without_texts(encoder: Encoder) -> Encoder:
    """Say of an encoder whose model came without a tokenizer why it encodes no texts."""
    encoder.info = replace(encoder.info, has_text=False, no_text=NO_TEXT)
    return encoder


def _transformers(spec: Spec, model: nn.Module, preprocess: Any, tokenizer: Any) -> Encoder:
    """Return the encoder of the hf adapter, whose layers are those of the spec `hf:`.

    preprocess: an image processor, a processor that holds one beside its tokenizer, or a function.
    """
    from mlcd_eval.encoders.adapters.hf.load import encoder_of

    tokenizer = tokenizer if tokenizer is not None else getattr(preprocess, "tokenizer", None)
    processor = getattr(preprocess, "image_processor", preprocess)
    encoder = encoder_of(spec, model, processor if hasattr(processor, "to_dict") else _Processor(processor), tokenizer)
    return encoder if tokenizer is not None else _without_texts(encoder)


class _Processor:
    """A function from an image to its pixels, called as an image processor of transformers is."""

    def __init__(self, function: Preprocess) -> None:
        self.function = function

    def __call__(self, images: Image.Image, return_tensors: str) -> dict[str, torch.Tensor]:
        return {"pixel_values": self.function(images)[None]}

    def to_dict(self) -> dict[str, str]:
        """Return what identifies the function."""
        return {"function": _in_words(self.function)}


def _is_of(module: nn.Module, names: Sequence[str]) -> bool:
    """Return whether the module is of one of these classes, which need not be importable."""
    return any(f"{parent.__module__}.{parent.__qualname__}" in names for parent in type(module).__mro__)


def _unwrapped(module: nn.Module) -> nn.Module:
    """Return the module inside torch.compile's and those of data parallelism."""
    while True:
        if isinstance(module, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
            module = module.module
        elif isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner
        else:
            return module


def _in_words(preprocess: object) -> str:
    """Return the text of a transform, on one line and without addresses, which differ between processes."""
    return re.sub(r" at 0x[0-9a-f]+", "", " ".join(str(preprocess).split()))


def _source(thing: Any) -> str:
    """Return the source of a class or function, an empty text where there is none."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return ""
