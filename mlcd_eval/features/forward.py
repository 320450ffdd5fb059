"""The model call: precision, memory formats, and a batch size that is halved when memory runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch

from mlcd_eval.encoders.base import PROJECTED, Encoder
from mlcd_eval.encoders.stages import Stages
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_eval.support.progress import Advance

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
DEFAULT_BATCH_SIZE = {"cuda": 256, "cpu": 32}
NO_MEMORY = ("can't allocate memory", "out of memory", "STATUS_ALLOC_FAILED")  # PyTorch's CPU allocator, CUDA, cuBLAS

T = TypeVar("T")


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


Outputs = dict[str, torch.Tensor]


class Queued:
    """Outputs on their way to the host, in parts, each with the tensors that a CUDA device may still read."""

    def __init__(self, parts: list[tuple[Outputs, Sequence[torch.Tensor]]], device: torch.device) -> None:
        self._parts = parts
        self._done = torch.cuda.Event() if device.type == "cuda" else None
        if self._done is not None:
            self._done.record(torch.cuda.current_stream(device))

    def arrays(self) -> dict[str, np.ndarray]:
        """Wait for the outputs and return them, copied; without items there are none."""
        if self._done is not None:
            self._done.synchronize()
        outputs = [part for part, _ in self._parts]
        return {name: np.concatenate([part[name].numpy() for part in outputs]) for name in (outputs or [{}])[0]}


class Forward:
    """Calls an encoder on batches of at most `batch_size` items (None: the device's default).

    stages: makes the encoder's input from the pixels; without it they are the input.
    """

    def __init__(
        self, encoder: Encoder, precision: str, batch_size: int | None = None, stages: Stages | None = None
    ) -> None:
        self.encoder = encoder
        self.precision = precision
        self.slices = Slices(batch_size or DEFAULT_BATCH_SIZE.get(encoder.device.type, 32))
        self._stages = stages.to(encoder.device) if stages else None
        self._copies = torch.cuda.Stream(encoder.device) if encoder.device.type == "cuda" else None

    def images(self, pixels: torch.Tensor, layers: Sequence[str]) -> Queued:
        """Encode pixels (B, ...), which Stages.prepare made, -> {layer: (B, ...) float32}.

        On CUDA this returns before the work is done; the pixels must stay as they are until `arrays` has returned.
        """

        def call(part: torch.Tensor) -> tuple[Outputs, Sequence[torch.Tensor]]:
            pixels, read = self._on_device(part)
            if self._stages:
                pixels = self._stages.finish(pixels)
            if read:
                pixels = pixels.contiguous(memory_format=torch.channels_last)
            return self._checked(self.encoder.encode_images(pixels, layers), layers, len(pixels)), read

        return self._queued(pixels, call)

    def _on_device(self, pixels: torch.Tensor) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """Return pixels on the encoder's device, and the tensors that must live until the device has read them.

        A CUDA device copies them by a stream of its own, while it works on the batch before.
        """
        if self._copies is None:
            return pixels, ()
        if pixels.device == self.encoder.device:
            return pixels, (pixels,)
        pinned = pixels if pixels.is_pinned() else pixels.pin_memory()
        with torch.cuda.stream(self._copies):
            copied = pinned.to(self.encoder.device, non_blocking=True)
        torch.cuda.current_stream(self.encoder.device).wait_stream(self._copies)
        return copied, (pinned, copied)

    def texts(self, texts: Sequence[str], advance: Advance = lambda _: None) -> np.ndarray:
        """Encode texts -> (T, D) float32 in the joint space. advance: called with the texts done."""

        def call(part: Sequence[str]) -> tuple[Outputs, Sequence[torch.Tensor]]:
            outputs = self._checked({PROJECTED: self.encoder.encode_texts(part)}, [PROJECTED], len(part))
            advance(len(part))
            return outputs, ()

        return self._queued(texts, call).arrays()[PROJECTED]

    def _checked(self, outputs: Any, layers: Sequence[str], rows: int) -> dict[str, torch.Tensor]:
        """Return the encoder's outputs. Raises IncompatibleError if they are not what its info promises, as may happen
        with a user's own encoder."""
        for layer in layers:
            got = outputs.get(layer) if isinstance(outputs, Mapping) else outputs
            width = self.encoder.info.width_of(layer)
            shape = tuple(got.shape) if isinstance(got, torch.Tensor) else ()
            if not isinstance(outputs, Mapping) or not shape or shape[0] != rows or shape[-1] != (width or shape[-1]):
                raise IncompatibleError(
                    f"model {self.encoder.info.name}, layer {layer}, {rows} items: got "
                    f"{shape or type(got).__name__}, expected {{{layer!r}: a tensor ({rows}, ..., {width or 'D'})}}"
                )
        return dict(outputs)

    def _queued(
        self,
        items: torch.Tensor | Sequence[str],
        call: Callable[..., tuple[Outputs, Sequence[torch.Tensor]]],
    ) -> Queued:
        def to_host(part: Any) -> tuple[Outputs, Sequence[torch.Tensor]]:
            with torch.inference_mode(), self._arithmetic():
                outputs, read = call(part)
                # from CUDA to pinned memory, without a wait
                return {name: value.float().to("cpu", non_blocking=True) for name, value in outputs.items()}, read

        return Queued(list(self.slices(items, to_host)), self.encoder.device)

    @contextlib.contextmanager
    def _arithmetic(self) -> Iterator[None]:
        """Set the precision of the block."""
        reduced = AUTOCAST.get(self.precision)
        with torch.autocast(self.encoder.device.type, dtype=reduced) if reduced else exact_fp32():
            yield


def _out_of_memory(error: RuntimeError) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or any(sign in str(error) for sign in NO_MEMORY)
