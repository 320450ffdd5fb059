"""The model call: precision, memory formats, and a batch size that is halved when memory runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from mlcd_eval.encoders.base import PROJECTED, Encoder
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.workers import threaded_map
from mlcd_eval.support.progress import Advance

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
DEFAULT_BATCH_SIZE = {"cuda": 256, "cpu": 32}
NO_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")  # PyTorch's CPU allocator, CUDA, cuBLAS

AT_ONCE = 8  # batches in flight on a CPU: with default sizes, as many images as a GPU gets

T = TypeVar("T")
R = TypeVar("R")


class Slices:
    """Calls a function on slices of at most `batch_size` items and nearly equal size.

    batch_size is halved when memory runs out.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def __call__(self, items: Any, call: Callable[[Any], T]) -> Iterator[T]:
        """Yield `call(slice)` for each slice of items (a tensor or a sequence), in order."""
        done = 0
        while done < len(items):
            left = len(items) - done
            size = -(-left // -(-left // self.batch_size))
            try:
                output = call(items[done : done + size])
            except RuntimeError as error:
                if size == 1 or not _out_of_memory(error):
                    raise
                self.batch_size = size // 2
            else:
                yield output
                done += size
                continue
            if torch.cuda.is_available():  # after the handler, since its traceback holds the call's tensors
                torch.cuda.empty_cache()


class Forward:
    """Calls an encoder on batches of at most `batch_size` items (None: the device's default)."""

    def __init__(self, encoder: Encoder, precision: str, batch_size: int | None = None) -> None:
        self.encoder = encoder
        self.precision = precision
        self.slices = Slices(batch_size or DEFAULT_BATCH_SIZE.get(encoder.device.type, 32))

    def images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, np.ndarray]:
        """Encode pixels (B, 3, H, W) -> {layer: (B, ...) float32}."""

        def call(chunk: torch.Tensor) -> dict[str, torch.Tensor]:
            device = self.encoder.device
            if device.type == "cuda":
                chunk = chunk.pin_memory().to(device, non_blocking=True, memory_format=torch.channels_last)
            return self._checked(self.encoder.encode_images(chunk, layers), layers, len(chunk))

        return self._chunked(pixels, call)

    def texts(self, texts: Sequence[str], advance: Advance = lambda _: None) -> np.ndarray:
        """Encode texts -> (T, D) float32 in the joint space. advance: called with the texts done."""

        def call(chunk: Sequence[str]) -> dict[str, torch.Tensor]:
            outputs = self._checked({PROJECTED: self.encoder.encode_texts(chunk)}, [PROJECTED], len(chunk))
            advance(len(chunk))
            return outputs

        return self._chunked(texts, call)[PROJECTED]

    def _checked(self, outputs: Any, layers: Sequence[str], rows: int) -> dict[str, torch.Tensor]:
        """Return the encoder's outputs. Raises IncompatibleError if they are not what its info promises, as may happen
        with a user's own encoder."""
        for layer in layers:
            got = outputs.get(layer) if isinstance(outputs, Mapping) else outputs
            width = self.encoder.info.layers.get(layer)
            shape = tuple(got.shape) if isinstance(got, torch.Tensor) else ()
            if not isinstance(outputs, Mapping) or not shape or shape[0] != rows or shape[-1] != (width or shape[-1]):
                raise IncompatibleError(
                    f"model {self.encoder.info.name}, layer {layer}, {rows} items: got "
                    f"{shape or type(got).__name__}, expected {{{layer!r}: a tensor ({rows}, ..., {width or 'D'})}}"
                )
        return dict(outputs)

    def _chunked(
        self, items: torch.Tensor | Sequence[str], call: Callable[..., dict[str, torch.Tensor]]
    ) -> dict[str, np.ndarray]:
        def arrays(part: Any) -> dict[str, np.ndarray]:
            with torch.inference_mode(), self._arithmetic():
                return {name: value.float().cpu().numpy() for name, value in call(part).items()}

        outputs = list(self.slices(items, arrays))
        return {name: np.concatenate([output[name] for output in outputs]) for name in outputs[0]}

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Set the precision of the block. fp32 switches off TF32, which PyTorch's convolutions use by default."""
        device = self.encoder.device.type
        with contextlib.ExitStack() as stack:
            if self.precision in AUTOCAST:
                stack.enter_context(torch.autocast(device, dtype=AUTOCAST[self.precision]))
            elif device == "cuda":
                stack.enter_context(torch.backends.cudnn.flags(allow_tf32=False))
            yield


def overlapped(call: Callable[[R], T], batches: Iterable[R], encoder: Encoder) -> Iterator[tuple[R, T]]:
    """Yield (batch, call(batch)) in order.

    On a CPU several batches are in flight at once, each on a few cores, while this thread reads the next: cores that
    share one batch wait for each other after every layer.
    """
    cores = torch.get_num_threads()
    if encoder.device.type != "cpu" or not encoder.reentrant:
        return ((batch, call(batch)) for batch in batches)
    at_once = min(cores, AT_ONCE)
    return threaded_map(call, batches, at_once, cores // at_once)


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in NO_MEMORY)
