"""The form in which every number is reported."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator


class Metric(BaseModel):
    """A metric's value with what is needed to defend it.

    value: a fraction in [0, 1] unless `unit` says otherwise; None where undefined (acc5 of 4 classes).
    num_scored: samples that the value is over, None where an imported file does not say; num_unscored: samples left out
    (images that cannot be read). ci95: 95% interval over samples, or over the units that the table of metrics names
    (images, documents), by bootstrap or, for the agreement of clusters, by the delta method; None where undefined.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    value: float | None
    unit: str = "fraction"
    higher_is_better: bool = True
    num_scored: int | None
    num_unscored: int = 0
    ci95: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _finite(self) -> Metric:
        for number in (self.value, *(self.ci95 or ())):
            if number is not None and not (-1e300 < number < 1e300):
                raise ValueError(f"metric {self.name} holds {number}: undefined values are None")
        return self
