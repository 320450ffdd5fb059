"""An encoder that sees images at another size than its own, at once or through windows that slide over them.

Windows are those of mmsegmentation's slide_inference (mmseg/models/segmentors/encoder_decoder.py), which DINOv3's
evaluation has too: the last one of a row ends where the image does, and what several windows say is averaged. There it
is scores of pixels, here patches: strides are of whole patches, so that for a linear layer both are the same but for
the outer half patch of a window, where scores are extrapolated there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch

from mlcd_eval.encoders.base import PATCHES, PROJECTED_PATCHES, Encoder, Preprocess
from mlcd_eval.encoders.layers import BlockInfo
from mlcd_eval.encoders.sizes import rescaled
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.decoders import JpegsOnGpu
from mlcd_eval.features.wrapped import WrappedEncoder
from mlcd_eval.protocols.frame import Frame

_GRIDS = (PATCHES, PROJECTED_PATCHES)


def framed(encoder: Encoder, frame: Frame) -> Encoder:
    """Return a model as it sees images of a size. Raises IncompatibleError where it cannot."""
    own, longer = encoder.info.image_size, max(frame.size)
    tower = encoder if frame.seen == own else encoder.resized(frame.seen)
    if frame.window is None and frame.size == (longer, longer):
        return tower
    on_cpu = encoder.on_cpu if isinstance(encoder, JpegsOnGpu) else encoder
    whole = rescaled(on_cpu.preprocess, longer, own[0])
    if whole is None:
        raise IncompatibleError(
            f"model {encoder.info.spec!r} cannot be shown images of {frame.resolution} pixels in parts: its "
            f"{type(on_cpu.preprocess).__name__} has no side that can be set"
        )
    return WindowedEncoder(tower.on_cpu if isinstance(tower, JpegsOnGpu) else tower, whole, frame)


class WindowedEncoder(WrappedEncoder):
    """An encoder of windows that gives the patches of whole images (B, h, w, D), means where windows overlap.

    encoder: of images of a window's size, or of the frame's where nothing slides. preprocess: gives a square of the
    frame's longer side, whose upper left part is the frame.
    """

    def __init__(self, encoder: Encoder, preprocess: Preprocess, frame: Frame) -> None:
        super().__init__(encoder)
        assert encoder.info.sizes is not None, "checked by Frame.check"
        self.preprocess = preprocess
        self._frame, self._patch = frame, encoder.info.sizes.multiple
        self._windows = frame.windows(self._patch)
        longer, info = max(frame.size), encoder.info
        self.info = replace(info, image_size=(longer, longer), preprocessing=" ".join(str(preprocess).split()))
        if frame.window is not None:
            rows, columns = (frame.starts(side, self._patch) for side in frame.size)
            said = f"windows at {rows}" if rows == columns else f"windows at {rows} and {columns}"
            self.info = replace(
                self.info,
                fingerprint=hashlib.sha256(f"{info.fingerprint} {said}".encode()).hexdigest(),
                layers={layer: width for layer, width in info.layers.items() if layer in _GRIDS},
                blocks=BlockInfo(values=info.blocks.values),
            )

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return every layer of the whole frame, or grids of patches, one window of all images at a time."""
        height, width = self._frame.seen
        if len(self._windows) == 1:
            return self._encoder.encode_images(pixels[:, :, :height, :width].contiguous(), layers)
        cells = tuple(side // self._patch for side in self._frame.size)
        count = torch.zeros(*cells, 1, device=pixels.device)
        sums: dict[str, torch.Tensor] = {}
        for top, left in self._windows:
            outputs = self._encoder.encode_images(pixels[:, :, top : top + height, left : left + width], layers)
            rows, columns = (
                slice(at // self._patch, (at + side) // self._patch) for at, side in ((top, height), (left, width))
            )
            count[rows, columns] += 1
            for layer, patches in outputs.items():
                if layer not in sums:
                    sums[layer] = torch.zeros(len(pixels), *cells, patches.shape[3], device=patches.device)
                sums[layer][:, rows, columns] += patches
        return {layer: each / count for layer, each in sums.items()}
