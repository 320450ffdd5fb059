"""Settings that protocols of patches share: at which size images are shown to the model."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import Field, PositiveInt, field_validator, model_serializer, model_validator

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.dialects import ProtocolSettings
from mlcd_eval.protocols.frame import LARGEST, Frame

_OBLONG = r"^[1-9]\d{0,4}x[1-9]\d{0,4}$"
_NAMES = ("resolution", "window", "stride")


class FramedSettings(ProtocolSettings):
    """resolution: pixels of images' longer side, in place of the model's own, or the height and width of the frame that
    they are letterboxed to, as 352x1216; positions are interpolated where the tower can do that. window: pixels along a
    side of the windows that slide over such an image, whose patches are averaged where they overlap; stride: pixels
    between them, by default two thirds of a window."""

    squares_only: ClassVar[bool] = False
    """Whether what reads the patches takes square grids alone."""

    resolution: Annotated[int, Field(ge=1, le=LARGEST)] | Annotated[str, Field(pattern=_OBLONG)] | None = None
    window: PositiveInt | None = None
    stride: PositiveInt | None = None

    @field_validator("resolution")
    @classmethod
    def _square(cls, resolution: int | str | None) -> int | str | None:
        """One number for 448x448, so that it is the same request as 448."""
        sides = str(resolution).split("x")
        return int(sides[0]) if len(sides) == 2 and sides[0] == sides[1] else resolution

    @model_validator(mode="after")
    def _fit(self) -> FramedSettings:
        sides = () if self.frame is None else self.frame.size
        if self.squares_only and self.frame is not None and not self.frame.is_square:
            raise ValueError(f"resolution is {self.resolution}, expected a square such as {max(sides)}")
        if max(sides, default=0) > LARGEST:
            raise ValueError(f"resolution is {self.resolution}, expected sides of 1 to {LARGEST} pixels")
        for setting, larger, most in (
            ("window", "resolution", min(sides, default=None)),
            ("stride", "window", self.window),
        ):
            pixels = getattr(self, setting)
            if pixels is not None and most is None:
                raise ValueError(f"{setting} is {pixels} without {larger}, expected both")
            if pixels is not None and most is not None and pixels > most:
                raise ValueError(f"{setting} is {pixels}, expected at most {larger} = {most}")
        return self

    @model_serializer(mode="wrap")
    def _as_before(self, serialize: Any) -> dict[str, Any]:
        """Without what is not set, so that records of before these settings existed stay those of the same request."""
        return {key: value for key, value in serialize(self).items() if key not in _NAMES or value is not None}

    def refuse_for_own_outputs(self, protocol: str, info: EncoderInfo) -> None:
        """Raise IncompatibleError if a size is asked for where a model's own outputs are scored (`mode: native`)."""
        if self.frame is not None:
            raise IncompatibleError(
                f"{protocol}'s mode is native: got resolution={self.resolution}, expected none, since model "
                f"{info.spec!r} prepares its images itself (or set mode=probe)"
            )

    @property
    def frame(self) -> Frame | None:
        """What is asked for, None for the model's own size."""
        if self.resolution is None:
            return None
        sides = [int(side) for side in str(self.resolution).split("x")]
        return Frame((sides[0], sides[-1]), self.window, self.stride)
