"""The settings of a head that is trained to bins of depth."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, PositiveFloat, PositiveInt


class BinsSettings(BaseModel):
    """number: of bins, which are uniform between min_depth and max_depth. batch: images in a step. recipe: of the head
    and its training (bins_recipes.py). beside: layer of one vector per image that every patch gets too, such as
    last_1/cls."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: PositiveInt = 256
    steps: PositiveInt = 38_400
    batch: PositiveInt = 16
    learning_rate: PositiveFloat = 3e-4
    recipe: Literal["dinov3", "dinov2"] = "dinov3"
    beside: str | None = None
