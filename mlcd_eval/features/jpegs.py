"""JPEG files decoded by TorchCodec: on the CPU to Pillow's pixels in less time, or on a GPU by nvJPEG.

A GPU decodes a whole batch by one call and resizes there, so that no worker process is needed; the calling process
checks headers and reads the next batch in a thread. Other formats are decoded by Pillow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from PIL import Image

from mlcd_eval.data.base import EncodedImage
from mlcd_eval.data.storage.images import decode
from mlcd_eval.errors import DataError
from mlcd_eval.features.workers import Loaded

T = TypeVar("T")
Item = tuple[str, EncodedImage]
Decoded = torch.Tensor | str
"""Pixels (3, H, W) uint8, or what is wrong with the image."""


def decode_jpeg_on_cpu(data: bytes) -> Image.Image:
    """Return the pixels of a JPEG file. Raises RuntimeError if it is damaged or truncated."""
    from torchcodec.decoders import decode_jpeg

    return Image.fromarray(decode_jpeg(data).permute(1, 2, 0).contiguous().numpy())


@dataclass(frozen=True)
class OnDevice:
    """Decodes and resizes batches on a device. resize: pixels (3, H, W) uint8 -> the same of the encoder's size."""

    device: torch.device
    resize: Callable[[torch.Tensor], torch.Tensor]

    def __call__(self, batches: Iterable[tuple[T, Sequence[Item]]]) -> Iterator[Loaded[T]]:
        """Yield each (tag, items) as a Loaded with rows (B, H, W, 3) uint8 on the device, in order."""
        with ThreadPoolExecutor(1) as reader:
            stream = iter(batches)
            following = reader.submit(next, stream, None)
            while (batch := following.result()) is not None:
                following = reader.submit(next, stream, None)
                yield self._loaded(*batch)

    def _loaded(self, tag: T, items: Sequence[Item]) -> Loaded[T]:
        read = [_read(key, image) for key, image in items]
        jpegs = [position for position, content in enumerate(read) if isinstance(content, bytes)]
        files = [content for content in read if isinstance(content, bytes)]
        decoded = dict(zip(jpegs, self._decoded(files, [items[position][0] for position in jpegs]), strict=True))
        contents = [decoded.get(position, content) for position, content in enumerate(read)]
        bad = {position: content for position, content in enumerate(contents) if isinstance(content, str)}
        rows = [self._row(content) for content in contents if isinstance(content, torch.Tensor)]
        return Loaded(tag, torch.stack(rows) if rows else torch.empty(0), bad)

    def _row(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.resize(pixels.to(self.device, non_blocking=True)).permute(1, 2, 0)

    def _decoded(self, files: list[bytes], keys: list[str]) -> list[Decoded]:
        """Return the pixels of JPEG files on the device; files are decoded one by one if one of them is damaged."""
        from torchcodec.decoders import decode_jpeg

        try:
            return list(decode_jpeg(files, device=self.device)) if files else []
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            if len(files) == 1:
                return [f"image {keys[0]!r} cannot be decoded: got {type(error).__name__}: {error}"]
        return [image for file, key in zip(files, keys, strict=True) for image in self._decoded([file], [key])]


def _read(key: str, image: EncodedImage) -> bytes | Decoded:
    """Return a JPEG file as it is, and another image decoded."""
    try:
        content = decode(image, key, bytes)
    except DataError as error:
        return str(error)
    return content if isinstance(content, bytes) else torch.from_numpy(np.array(content)).permute(2, 0, 1)
