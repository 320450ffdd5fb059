"""`--model python:mlcd_eval.extras.rapidocr:reader`: a reader of pages by RapidOCR, with the models in its package.

It shows what questions can be answered by finding words alone: a floor for vision-language models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.errors import ConfigError
from mlcd_eval.extras.lines import RULE, Line, find_answer


def reader() -> RapidOCRReader:
    """The reader; raises ConfigError without the package."""
    try:
        import rapidocr
    except ImportError as error:
        raise ConfigError(f"the reader needs RapidOCR, pip install 'mlcd-eval[ocr]': {error}") from error
    models = Path(rapidocr.__file__).parent / "models"
    return RapidOCRReader(rapidocr.RapidOCR(params={"Global.log_level": "warning"}), models)


class RapidOCRReader(Encoder):
    """Reads a page once, then answers by the rule of lines.py. engine: image (H, W, 3), BGR -> boxes and txts."""

    def __init__(self, engine: Any, models: Path) -> None:
        self._engine = engine
        self._page: tuple[str, list[Line]] = ("", [])  # the last one: questions come page by page
        self.info = EncoderInfo(
            spec="rapidocr",
            name="rapidocr",
            fingerprint=_digest(models),
            preprocessing="RapidOCR's own",
            layers={},
            image_size=(0, 0),
            num_params=0,
            has_text=False,
            abilities=("answer",),
            extra={"rapidocr": version("rapidocr"), "onnxruntime": version("onnxruntime"), "rule": RULE},
        )

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str], max_new_tokens: int = 32) -> list[str]:
        """The answers, cut at so many words; of a prompt the first line, which is the question, is looked at."""
        answers = []
        for image, question in zip(images, questions, strict=True):
            found = find_answer(question.partition("\n")[0], self._lines(image))
            answers.append(" ".join(found.split()[:max_new_tokens]))
        return answers

    def _lines(self, image: Image.Image) -> list[Line]:
        pixels = np.asarray(image.convert("RGB"))
        key = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
        if self._page[0] != key:
            result = self._engine(np.ascontiguousarray(pixels[..., ::-1]))
            boxes, texts = (result.boxes, result.txts) if result.txts else ((), ())
            self._page = key, [_line(box, text) for box, text in zip(boxes, texts, strict=True)]
        return self._page[1]

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """ONNX Runtime stays on the CPU, in float32."""
        return self

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")


def _line(box: np.ndarray, text: str) -> Line:
    """box (4, 2): corners, x and y."""
    (left, top), (right, bottom) = np.min(box, axis=0).tolist(), np.max(box, axis=0).tolist()
    return Line(text, left, top, right, bottom)


def _digest(models: Path) -> str:
    """Over the names and bytes of the ONNX files."""
    digest = hashlib.sha256()
    for path in sorted(models.glob("*.onnx")):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
