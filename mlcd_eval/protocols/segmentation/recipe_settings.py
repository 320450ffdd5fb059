"""Settings of the recipes by which papers train the linear layer of segmentation (recipe.py)."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

FIRST = 1e-6  # of the learning rate, at the first step


class RecipeSettings(BaseModel):
    """schedule: how the learning rate falls after `warmup` steps. dropout: of channels, before the normalisation.
    batch_size: images of a step."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schedule: Literal["cosine", "linear"] = "cosine"
    steps: PositiveInt = 40_000
    warmup: PositiveInt = 1500
    batch_size: PositiveInt = 16
    lr: PositiveFloat = 1e-3
    weight_decay: float = Field(default=1e-3, ge=0)
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _falls(self) -> RecipeSettings:
        if self.warmup >= self.steps:
            raise ValueError(f"expected fewer steps of warmup than steps = {self.steps}, got {self.warmup}")
        return self

    def rate(self, step: int) -> float:
        """The learning rate of a step, from 0."""
        if self.schedule == "cosine":  # WarmupOneCycleLR, whose first step is taken twice
            step = max(0, step - 1)
            if step < self.warmup:
                rise = 1 - (1 - step / self.warmup) * (1 - FIRST)
                return self.lr * rise * (1 - step / self.steps)
            return self.lr * (1 + math.cos(math.pi * (step + 1) / self.steps)) / 2
        if step < self.warmup:
            return self.lr * (FIRST + (1 - FIRST) * step / max(1, self.warmup - 1))
        return self.lr * (1 - (step - self.warmup) / max(1, self.steps - self.warmup - 1))

    def at_most(self, steps: int) -> RecipeSettings:
        """Return the settings with fewer steps, of which the warm-up has the same share."""
        if self.steps <= steps:
            return self
        return self.model_copy(update={"steps": steps, "warmup": max(1, self.warmup * steps // self.steps)})
