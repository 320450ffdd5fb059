"""An encoder that sees altered images: corrupted as in ImageNet-C, or changed a little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from PIL import Image

from mlcd_eval.data.alterations.names import RECIPE
from mlcd_eval.encoders.base import Encoder, Preprocess
from mlcd_eval.features.decoders import JpegsOnGpu
from mlcd_eval.features.wrapped import WrappedEncoder


class AlteredEncoder(WrappedEncoder):
    """An encoder whose images are altered, which is part of its features' identity. Images are altered on the CPU."""

    def __init__(self, encoder: Encoder, alteration: str) -> None:
        encoder = encoder.on_cpu if isinstance(encoder, JpegsOnGpu) else encoder
        super().__init__(encoder)
        self._alteration = alteration
        self.info = replace(
            encoder.info, preprocessing=f"altered by {alteration} (recipe {RECIPE}); {encoder.info.preprocessing}"
        )

    @property
    def preprocess(self) -> Preprocess:  # type: ignore[override]
        """The encoder's preprocess of the altered image."""
        return self._encoder.preprocess

    @property
    def alter(self) -> Callable[[Image.Image, str], Image.Image]:  # type: ignore[override]
        """What alters an image, given its key; it raises DataError for one that is too small."""
        from mlcd_eval.data.alterations.alter import altered  # here, since SciPy's filters take a second to import

        return partial(altered, name=self._alteration)
