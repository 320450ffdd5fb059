"""`--model python:mlcd_eval.extras.rapidocr:reader`: reads pages by RapidOCR, with the models in its package.

It shows which questions can be answered just by finding words, a lower bound for vision-language models.
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
from mlcd_eval.protocols.docvqa.lines import RULE, Line, find_answer


def reader() -> RapidOCRReader:
    """Return the reader. Raises ConfigError if RapidOCR is not installed."""
    try:
        import rapidocr
    except ImportError as error:
        raise ConfigError(f"the reader needs RapidOCR, pip install 'mlcd-eval[ocr]': {error}") from error
    models = Path(rapidocr.__file__).parent / "models"
    return RapidOCRReader(rapidocr.RapidOCR(params={"Global.log_level": "warning"}), models)


class RapidOCRReader(Encoder):
    """Reads each page once and answers by the reading probe's rule. engine: image (H, W, 3), BGR -> boxes and txts."""

    def __init__(self, engine: Any, models: Path) -> None:
        self._engine = engine
        self._last_page: tuple[str, list[Line]] = ("", [])  # enough, since questions come page by page
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
        """Return the answers, cut after max_new_tokens words. Only a prompt's first line is used, the question."""
        answers = []
        for image, question in zip(images, questions, strict=True):
            answer = find_answer(question.partition("\n")[0], self.lines(image))
            answers.append(" ".join(answer.split()[:max_new_tokens]))
        return answers

    def lines(self, image: Image.Image) -> list[Line]:
        """Return the lines of text of a page."""
        pixels = np.asarray(image.convert("RGB"))
        key = hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()
        if self._last_page[0] != key:
            result = self._engine(np.ascontiguousarray(pixels[..., ::-1]))
            boxes, texts = (result.boxes, result.txts) if result.txts else ((), ())
            self._last_page = key, [_line(box, text) for box, text in zip(boxes, texts, strict=True)]
        return self._last_page[1]

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """Return the reader itself: ONNX Runtime stays on the CPU, in float32."""
        return self

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")


def _line(box: np.ndarray, text: str) -> Line:
    """Return a line of text with the bounding box of its corners, box (4, 2): x and y."""
    (left, top), (right, bottom) = np.min(box, axis=0).tolist(), np.max(box, axis=0).tolist()
    return Line(text, left, top, right, bottom)


def _digest(models: Path) -> str:
    """Return a hash of the names and bytes of the ONNX files."""
    digest = hashlib.sha256()
    for path in sorted(models.glob("*.onnx")):
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
