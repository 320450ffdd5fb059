"""`vlmevalkit:NAME`: a model of VLMEvalKit's list, where that package is installed."""

from __future__ import annotations

import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.encoders.identity import settings_digest
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.weights import num_params
from mlcd_eval.errors import ConfigError, nearest


def load(spec: Spec) -> Encoder:
    """vlmeval.config.supported_VLM[NAME](), an object with generate(message, dataset=None) -> str."""
    try:
        supported = importlib.import_module("vlmeval.config").supported_VLM
    except ImportError as error:
        raise ConfigError(f"--model {spec.text!r} needs VLMEvalKit's package vlmeval: {error}") from error
    if spec.target not in supported:
        raise ConfigError(
            f"--model {spec.text!r}: VLMEvalKit has no {spec.target!r}, expected one of its supported_VLM"
            f"{nearest(spec.target, supported)}"
        )
    return VLMEvalKitModel(spec, supported[spec.target]())


class VLMEvalKitModel(Encoder):
    """VLMEvalKit's models read images from files and answer one message at a time; they keep arguments of `generate` in
    `kwargs`."""

    def __init__(self, spec: Spec, model: Any) -> None:
        self._model = model
        modules = [part for part in vars(model).values() if isinstance(part, torch.nn.Module)]
        plain = {name: value for name, value in vars(model).items() if isinstance(value, (str, int, float))}
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(spec.target, plain, getattr(model, "kwargs", None)),
            preprocessing=type(model).__name__,
            layers={},
            image_size=(0, 0),
            num_params=sum(map(num_params, modules)),
            has_text=False,
            abilities=("answer",),
            extra={"vlmevalkit": spec.target},
        )

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str], max_new_tokens: int = 32) -> list[str]:
        """One question after another; how long answers may be is the model's own setting."""
        answers = []
        with tempfile.TemporaryDirectory() as folder:
            for number, (image, question) in enumerate(zip(images, questions, strict=True)):
                path = Path(folder) / f"{number}.png"
                image.save(path)
                message = [{"type": "image", "value": str(path)}, {"type": "text", "value": question}]
                answers.append(str(self._model.generate(message)).strip())
        return answers

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """VLMEvalKit places its models itself."""
        return self

    @property
    def device(self) -> torch.device:
        """The CPU, where answers are scored."""
        return torch.device("cpu")
