"""Encoders exported to ONNX, by ONNX Runtime on the CPU: an image tower and, where given, a text tower.

What an output is follows from its name, as Hugging Face's exporter gives them, and from its shape:
(B, D) named image_embeds or text_embeds is in the joint space, another (B, D) is the pooled feature, (B, D, h, w) a
feature map, and (B, N, D) the tokens, with or without a class token first.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2

from mlcd_eval.encoders.adapters.onnx_weights import num_weights
from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, PROJECTED, Encoder, EncoderInfo
from mlcd_eval.encoders.bounds import LARGEST_SIDE
from mlcd_eval.encoders.identity import settings_digest, tokenizer_settings
from mlcd_eval.encoders.pooling import MEAN, NONE, TOKEN
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.weights import as_checkpoint_error
from mlcd_eval.errors import CheckpointError, ConfigError, IncompatibleError
from mlcd_eval.support.foreign import reading

JOINT = ("image_embeds", "text_embeds")
LONGEST_TEXT = 4096  # tokens: transformers writes 10^30 for a tokenizer that knows no limit


@as_checkpoint_error
def load(spec: Spec) -> Encoder:
    """Sessions of the files, and the tokenizer of the text tower."""
    tower = _session(Path(spec.target))
    text = _TextTower(Path(spec.options["text"]), spec.options["tokenizer"]) if "text" in spec.options else None
    return OnnxEncoder(spec, tower, text)


def _session(path: Path) -> Any:
    with reading(f"{path} cannot be loaded by ONNX Runtime", CheckpointError):
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


class _TextTower:
    """Texts, padded to the length that the file or the tokenizer says, to (B, D) in the joint space."""

    def __init__(self, path: Path, tokenizer: str) -> None:
        import transformers

        self.session = _session(path)
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
        self.inputs = [put.name for put in self.session.get_inputs()]
        length = self.session.get_inputs()[0].shape[-1]
        self.length = length if isinstance(length, int) else self.tokenizer.model_max_length
        flat = [put.name for put in self.session.get_outputs() if len(put.shape) == 2]
        self.output = next((name for name in flat if name in JOINT), flat[0] if len(flat) == 1 else None)
        if self.output is None:
            raise IncompatibleError(f"{path} has outputs {flat}, expected text_embeds or a single (B, D)")

    def __call__(self, texts: list[str]) -> torch.Tensor:
        padding = "max_length" if self.length <= LONGEST_TEXT else True
        length = self.length if self.length <= LONGEST_TEXT else None
        tokens = self.tokenizer(texts, padding=padding, truncation=True, max_length=length, return_tensors="np")
        feed = {name: tokens[name].astype(np.int64) for name in self.inputs if name in tokens}
        return torch.from_numpy(self.session.run([self.output], feed)[0])


class OnnxEncoder(Encoder):
    """Layers are those outputs of the image tower that can be told apart. ONNX Runtime may be called by several
    threads."""

    reentrant = True

    def __init__(self, spec: Spec, tower: Any, text: _TextTower | None) -> None:
        self._session, self._text = tower, text
        image = _image_input(spec, tower)
        self._input, self._batch = image.name, image.shape[0] if isinstance(image.shape[0], int) else None
        self._pool = spec.options.get("global_pool")
        size = _size(spec, image.shape)
        self.preprocess = _preprocess(spec, size)
        self._outputs = [put.name for put in tower.get_outputs()]
        probe = self._layers(torch.zeros(1, 3, size, size))
        if not probe:
            raise ConfigError(
                f"--model {spec.text!r} gives no (B, D): got outputs {', '.join(self._outputs)}, expected "
                "?global_pool=token or avg where there are tokens"
            )
        files = [Path(spec.target), *([Path(spec.options["text"])] if text else [])]
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(
                [hashlib.sha256(file.read_bytes()).hexdigest() for file in files],
                self._pool,
                text and tokenizer_settings(text.tokenizer),
            ),
            preprocessing=" ".join(str(self.preprocess).split()),
            layers={layer: tensor.shape[-1] for layer, tensor in probe.items()},
            image_size=(size, size),
            num_params=sum(map(num_weights, files)),
            has_text=text is not None,
            extra={"pooling": self._pool or "as exported"},
        )

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """One run of the image tower, or one per batch of the size that the file is fixed to."""
        outputs = self._layers(pixels)
        return {layer: outputs[layer] for layer in layers}

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        chunks = pixels.float().contiguous().split(self._batch or len(pixels))
        runs = [self._run(chunk) for chunk in chunks]
        outputs = {name: torch.cat([run[name] for run in runs]) for name in self._outputs}
        flat = {name: value for name, value in outputs.items() if value.dim() == 2}
        joint = next((name for name in flat if name in JOINT or self._text), None)
        pooled = next((name for name in flat if name != joint), joint)
        layers = {}
        if pooled is not None:
            layers[PENULTIMATE] = flat[pooled]
        if joint is not None:
            layers[PROJECTED] = flat[joint]
        for tokens in outputs.values():
            patches, prefix = _patches(tokens)
            if patches is None:
                continue
            layers[PATCHES] = patches
            if self._pool == TOKEN and prefix:
                layers[PENULTIMATE] = tokens[:, 0]
            elif self._pool == MEAN:
                layers[PENULTIMATE] = patches.mean((1, 2))
        if self._pool == NONE:
            layers.pop(PENULTIMATE, None)
        elif self._pool is None and PENULTIMATE not in layers:
            return {}
        return layers

    def _run(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs for one batch; a smaller one than the file is fixed to is filled up."""
        missing = (self._batch or len(pixels)) - len(pixels)
        filled = torch.cat([pixels, pixels.new_zeros(missing, *pixels.shape[1:])]) if missing else pixels
        values = self._session.run(self._outputs, {self._input: filled.numpy()})
        return {name: torch.from_numpy(value)[: len(pixels)] for name, value in zip(self._outputs, values, strict=True)}

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """By the text tower of `?text=`."""
        return super().encode_texts(texts) if self._text is None else self._text(list(texts))

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """ONNX Runtime computes on the CPU, in the file's own precision. Returns self."""
        return self

    @property
    def device(self) -> torch.device:
        """Where pixels must be: on the CPU."""
        return torch.device("cpu")


def _image_input(spec: Spec, tower: Any) -> Any:
    """The only input, images (B, 3, H, W) as float32."""
    inputs = tower.get_inputs()
    described = ", ".join(f"{put.name} {put.type} {put.shape}" for put in inputs)
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
        raise IncompatibleError(
            f"--model {spec.text!r} takes {described}, expected one input of images, float32 (B, 3, H, W): export the "
            "image tower alone, and the text tower to a file of its own for ?text="
        )
    return inputs[0]


def _size(spec: Spec, shape: Sequence[Any]) -> int:
    """The side of the images: that of the file, else that of the spec."""
    given, fixed = spec.options.get("image_size"), shape[-1] if isinstance(shape[-1], int) else None
    if given is None and fixed is None:
        raise ConfigError(f"--model {spec.text!r}: the file takes images of any size, expected ?image_size=N")
    if given is not None and fixed not in (None, int(given)):
        raise ConfigError(f"--model {spec.text!r}: got image_size={given}, but the file takes {fixed} pixels")
    side = fixed or int(str(given))
    if side > LARGEST_SIDE:
        raise IncompatibleError(f"--model {spec.text!r} takes {side:,} pixels, expected at most {LARGEST_SIDE:,}")
    return side


def _preprocess(spec: Spec, size: int) -> Any:
    """What the spec says, by open_clip's transform: the shorter side scaled, bicubic, unless it says otherwise."""
    config = PreprocessCfg(
        size=size,
        mean=spec.numbers("mean"),
        std=spec.numbers("std"),
        interpolation=spec.options.get("interpolation", "bicubic"),
        resize_mode=spec.options.get("resize", "shortest"),
    )
    return image_transform_v2(config, is_train=False)


def _patches(tokens: torch.Tensor) -> tuple[torch.Tensor | None, int]:
    """(B, h, w, D) of a feature map or of tokens, and how many class tokens come first; None for other outputs."""
    if tokens.dim() == 4:
        return tokens.permute(0, 2, 3, 1), 0
    if tokens.dim() == 3:
        for prefix in (0, 1):
            side = math.isqrt(tokens.shape[1] - prefix)
            if side > 1 and side**2 == tokens.shape[1] - prefix:
                return tokens[:, prefix:].unflatten(1, (side, side)), prefix
    return None, 0
