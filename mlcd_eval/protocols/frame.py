"""At which size a model sees whole images: at once, or through windows that slide over them."""

from __future__ import annotations

from dataclasses import dataclass

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import IncompatibleError

LARGEST = 8192
"""Pixels along a side."""
SHIFT = 2 / 3
"""Of a window's side, by which windows are apart where nothing is said: mmsegmentation's and DINOv3's 341 of 512."""


@dataclass(frozen=True)
class Frame:
    """resolution: pixels along a side of the square that an image is letterboxed to, its longer side.

    window: along a side of the windows that slide over the square, None for the whole of it at once. stride: pixels
    between them, None for SHIFT of a window in whole patches.
    """

    resolution: int
    window: int | None = None
    stride: int | None = None

    @property
    def side(self) -> int:
        """Pixels along a side of what the tower sees at once."""
        return self.window or self.resolution

    def check(self, task: str, info: EncoderInfo) -> None:
        """Raise IncompatibleError for a model that does not take images of this size. task: begins the sentence."""
        for setting in ("resolution", "window", "stride"):
            pixels = getattr(self, setting)
            if pixels is not None and not (self.window is None and info.image_size == (pixels, pixels)):
                self._check_pixels(task, info, setting, pixels)

    def starts(self, multiple: int) -> list[int]:
        """Return where windows begin along a side, the last one shifted back so that it ends there, as
        mmsegmentation's slide_inference. multiple: pixels of a patch."""
        assert self.window is not None, "without windows there is one start"
        stride = self.stride or self._usual_stride(multiple)
        count = max(self.resolution - self.window + stride - 1, 0) // stride + 1
        return [min(number * stride, self.resolution - self.window) for number in range(count)]

    def details(self, info: EncoderInfo) -> dict[str, object]:
        """Return for a record what a model with the info of its own size sees."""
        details = {"resolution": self.resolution, "positions": _positions(info, self.side)}
        if self.window is None or info.sizes is None:
            return details
        stride, along = self.stride or self._usual_stride(info.sizes.multiple), len(self.starts(info.sizes.multiple))
        return {**details, "windows": {"side": self.window, "stride": stride, "per_image": along**2}}

    def _usual_stride(self, multiple: int) -> int:
        return max(1, int(SHIFT * self.side) // multiple) * multiple

    def _check_pixels(self, task: str, info: EncoderInfo, setting: str, pixels: int) -> None:
        height, width = info.image_size
        if info.sizes is None:
            raise IncompatibleError(
                f"{task}: got {setting}={pixels}, but model {info.spec!r} takes images of {height} x {width} pixels "
                "only, expected none"
            )
        if pixels % info.sizes.multiple:
            raise IncompatibleError(
                f"{task}: got {setting}={pixels}, expected a multiple of the {info.sizes.multiple} pixels of a patch "
                f"of model {info.spec!r}, such as {max(1, round(pixels / info.sizes.multiple)) * info.sizes.multiple}"
            )


def _positions(info: EncoderInfo, side: int) -> str:
    """How the patches of a square get their positions."""
    if side == info.image_size[0] or info.sizes is None or info.sizes.positions == "native":
        return "native"
    before, after = (" x ".join(map(str, info.sizes.grid(each))) for each in (info.image_size[0], side))
    return f"interpolated from {before} to {after}"
