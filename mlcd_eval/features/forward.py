"""The model call: precision, memory formats, and a batch size that halves while memory runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from mlcd_eval.encoders.base import PROJECTED, Encoder

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
DEFAULT_BATCH_SIZE = {"cuda": 256, "cpu": 32}


class Forward:
    """Calls an encoder on batches of at most `batch_size` items (None: a start for the device)."""

    def __init__(self, encoder: Encoder, precision: str, batch_size: int | None = None) -> None:
        self.encoder = encoder
        self.precision = precision
        self.batch_size = batch_size or DEFAULT_BATCH_SIZE.get(encoder.device.type, 32)

    def images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Pixels (B, 3, H, W) -> {layer: (B, ...) float32}."""

        def call(chunk: torch.Tensor) -> dict[str, torch.Tensor]:
            device = self.encoder.device
            if device.type == "cuda":
                chunk = chunk.pin_memory().to(device, non_blocking=True, memory_format=torch.channels_last)
            return self.encoder.encode_images(chunk, layers)

        return self._chunked(pixels, call)

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Texts -> (T, D) float32 in the joint space."""
        return self._chunked(texts, lambda chunk: {PROJECTED: self.encoder.encode_texts(chunk)})[PROJECTED]

    def _chunked(
        self, items: torch.Tensor | Sequence[str], call: Callable[..., dict[str, torch.Tensor]]
    ) -> dict[str, np.ndarray]:
        outputs: list[dict[str, np.ndarray]] = []
        done = 0
        while done < len(items):
            try:
                with torch.inference_mode(), self._arithmetic():
                    output = call(items[done : done + self.batch_size])
                    outputs.append({name: value.float().cpu().numpy() for name, value in output.items()})
                done += self.batch_size
            except RuntimeError as error:
                if self.batch_size == 1 or not _out_of_memory(error):
                    raise
                self.batch_size //= 2
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
        return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """fp32 means fp32: PyTorch lets convolutions use TF32 unless told not to."""
        device = self.encoder.device.type
        with contextlib.ExitStack() as stack:
            if self.precision in AUTOCAST:
                stack.enter_context(torch.autocast(device, dtype=AUTOCAST[self.precision]))
            elif device == "cuda":
                stack.enter_context(torch.backends.cudnn.flags(allow_tf32=False))
            yield


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
