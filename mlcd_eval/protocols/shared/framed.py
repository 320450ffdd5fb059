"""Settings that protocols of patches share: at which size images are shown to the model."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveInt, model_serializer, model_validator

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.dialects import ProtocolSettings
from mlcd_eval.protocols.frame import LARGEST, Frame

_NAMES = ("resolution", "window", "stride")


class FramedSettings(ProtocolSettings):
    """resolution: pixels of images' longer side, in place of the model's own; positions are interpolated where the
    tower can do that. window: pixels along a side of the windows that slide over such an image, whose patches are
    averaged where they overlap; stride: pixels between them, by default two thirds of a window."""

    resolution: int | None = Field(default=None, ge=1, le=LARGEST)
    window: PositiveInt | None = None
    stride: PositiveInt | None = None

    @model_validator(mode="after")
    def _fit(self) -> FramedSettings:
        for setting, larger in (("window", "resolution"), ("stride", "window")):
            pixels, most = getattr(self, setting), getattr(self, larger)
            if pixels is not None and most is None:
                raise ValueError(f"{setting} is {pixels} without {larger}, expected both")
            if pixels is not None and pixels > most:
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
        return None if self.resolution is None else Frame(self.resolution, self.window, self.stride)
