"""The settings of region_classification."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mlcd_eval.protocols.regions.pooling import Pool
from mlcd_eval.protocols.shared.framed import FramedSettings


class RegionClassificationSettings(FramedSettings):
    """split: the scored split, by default test, or val where there is no test. mode: a linear probe, or prompts.

    pool: what a region's patches are weighted by. parts: into how many of the same width a box is cut from left to
    right, whose means stand one after another. regions: of train that are fitted, at most; of more of them as many are
    drawn. lambda_, val_fraction, max_iter, tolerance: as in seg_linear. class_names, templates: as in zeroshot.
    """

    split: str | None = None
    mode: Literal["linear", "zeroshot"] = "linear"
    pool: Pool = "mask"
    parts: PositiveInt = Field(default=1, le=64)
    regions: PositiveInt = 200_000
    lambda_: PositiveFloat | None = None
    val_fraction: float = Field(default=0.2, gt=0, lt=1)
    max_iter: PositiveInt = 1000
    tolerance: PositiveFloat = 1e-5
    class_names: str | tuple[str, ...] | None = None
    templates: str | tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _cuts_boxes(self) -> RegionClassificationSettings:
        if self.parts > 1 and (self.pool, self.mode) != ("box", "linear"):
            raise ValueError("parts are of a box that a linear probe classifies: expected pool=box and mode=linear")
        return self
