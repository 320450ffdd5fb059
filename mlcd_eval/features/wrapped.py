"""Encoders that let another one compute, such as those whose images are prepared in another way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlcd_eval.encoders.base import Encoder

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import torch
    from PIL import Image


class DelegatingEncoder(Encoder):
    """Computes what another encoder does, which subclasses have as `_encoder`."""

    _encoder: Encoder

    @property
    def reentrant(self) -> bool:  # type: ignore[override]
        """Whether the encoder may be called from several threads at once."""
        return self._encoder.reentrant

    @property
    def costed(self) -> bool:  # type: ignore[override]
        """Whether what an image costs can be counted."""
        return self._encoder.costed

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return the encoder's features."""
        return self._encoder.encode_images(pixels, layers)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Return the encoder's features of texts."""
        return self._encoder.encode_texts(texts)

    def count_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """Return the numbers of tokens of texts."""
        return self._encoder.count_tokens(texts)

    def segment(self, image: Image.Image, expression: str) -> np.ndarray:
        """Return the encoder's mask."""
        return self._encoder.segment(image, expression)

    def answer(self, images: Sequence[Image.Image], questions: Sequence[str], max_new_tokens: int = 32) -> list[str]:
        """Return the encoder's answers."""
        return self._encoder.answer(images, questions, max_new_tokens)


class WrappedEncoder(DelegatingEncoder):
    """Computes what the wrapped encoder does. Subclasses set `info`, whose preprocessing says what they change, and
    `preprocess`."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder

    def resized(self, size: tuple[int, int]) -> Encoder:
        """Return the same around the encoder for images of another size; not of what is made of more."""
        return type(self)(self._encoder.resized(size))

    @property
    def jpeg(self) -> Callable[[bytes], Image.Image] | None:  # type: ignore[override]
        """What decodes JPEG files for the encoder."""
        return self._encoder.jpeg

    @property
    def alter(self) -> Callable[[Image.Image, str], Image.Image] | None:  # type: ignore[override]
        """What changes images before the encoder's preprocess."""
        return self._encoder.alter

    @property
    def device(self) -> torch.device:
        """The encoder's device."""
        return self._encoder.device
