"""At which size a model sees whole images: at once, or through windows that slide over them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import IncompatibleError

LARGEST = 8192
"""Pixels along a side."""
SHIFT = 2 / 3
"""Of a window's side, by which windows are apart where nothing is said: mmsegmentation's and DINOv3's 341 of 512."""


@dataclass(frozen=True)
class Frame:
    """size: height and width in pixels that an image is letterboxed to.

    window: along a side of the square windows that slide over it, None for the whole of it at once. stride: pixels
    between them, None for SHIFT of a window in whole patches.
    """

    size: tuple[int, int]
    window: int | None = None
    stride: int | None = None

    @property
    def seen(self) -> tuple[int, int]:
        """Height and width in pixels of what the tower sees at once."""
        return self.size if self.window is None else (self.window, self.window)

    @property
    def is_square(self) -> bool:
        """Whether height and width are the same."""
        return self.size[0] == self.size[1]

    @property
    def resolution(self) -> int | str:
        """The size as it is asked for: 448, or 352x1216."""
        height, width = self.size
        return height if self.is_square else f"{height}x{width}"

    def check(self, task: str, info: EncoderInfo) -> None:
        """Raise IncompatibleError for a model that does not take images of this size. task: begins the sentence."""
        if self.window is None and info.image_size == self.size and (self.is_square or info.sizes is not None):
            return
        for side in self.size:
            self._check_pixels(task, info, f"resolution={self.resolution}", side)
        for setting, pixels in (("window", self.window), ("stride", self.stride)):
            if pixels is not None:
                self._check_pixels(task, info, f"{setting}={pixels}", pixels)

    def windows(self, multiple: int) -> list[tuple[int, int]]:
        """Return top and left of each window, one for the whole. multiple: pixels of a patch."""
        rows, columns = (self.starts(side, multiple) for side in self.size)
        return list(product(rows, columns))

    def starts(self, side: int, multiple: int) -> list[int]:
        """Return where windows begin along a side, the last one shifted back so that it ends there, as
        mmsegmentation's slide_inference."""
        if self.window is None:
            return [0]
        stride = self.stride or self._usual_stride(multiple)
        count = max(side - self.window + stride - 1, 0) // stride + 1
        return [min(number * stride, side - self.window) for number in range(count)]

    def details(self, info: EncoderInfo) -> dict[str, object]:
        """Return for a record what a model with the info of its own size sees."""
        details: dict[str, object] = {"resolution": self.resolution, "positions": _positions(info, self.seen)}
        if self.window is None or info.sizes is None:
            return details
        stride, count = self.stride or self._usual_stride(info.sizes.multiple), len(self.windows(info.sizes.multiple))
        return {**details, "windows": {"side": self.window, "stride": stride, "per_image": count}}

    def _usual_stride(self, multiple: int) -> int:
        return max(1, int(SHIFT * self.seen[0]) // multiple) * multiple

    def _check_pixels(self, task: str, info: EncoderInfo, asked: str, pixels: int) -> None:
        height, width = info.image_size
        if info.sizes is None:
            raise IncompatibleError(
                f"{task}: got {asked}, but model {info.spec!r} takes images of {height} x {width} pixels "
                "only, expected none"
            )
        if pixels % info.sizes.multiple:
            raise IncompatibleError(
                f"{task}: got {asked}, expected a multiple of the {info.sizes.multiple} pixels of a patch "
                f"of model {info.spec!r}, such as {max(1, round(pixels / info.sizes.multiple)) * info.sizes.multiple}"
            )


def _positions(info: EncoderInfo, size: tuple[int, int]) -> str:
    """How the patches of images of a height and width get their positions."""
    if size == info.image_size or info.sizes is None or info.sizes.positions == "native":
        return "native"
    before, after = (" x ".join(map(str, info.sizes.grid(each))) for each in (info.image_size, size))
    return f"interpolated from {before} to {after}"
