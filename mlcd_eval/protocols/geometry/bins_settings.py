"""The settings of a head that is trained to bins of depth."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt


class BinsSettings(BaseModel):
    """number: of bins, which are uniform between min_depth and max_depth. batch: images in a step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: PositiveInt = 256
    steps: PositiveInt = 38_400
    batch: PositiveInt = 16
    learning_rate: PositiveFloat = 3e-4
