"""The objectives of the stage fit: a file per family, a member of the union per objective."""

from typing import Annotated, get_args

from pydantic import Field

from mlcd_train.objectives.base import ObjectiveSettings
from mlcd_train.objectives.contrast import Clip
from mlcd_train.objectives.discrimination import Mlcd
from mlcd_train.objectives.heads import Heads, OfClasses
from mlcd_train.objectives.rice import Rice

AnyObjective = OfClasses | Heads | Rice | Clip
"""To add an objective, write its settings (a subclass of ObjectiveSettings) and add them here."""

FitObjective = Annotated[AnyObjective, Field(discriminator="name")]
"""`fit.objective`: the settings of the objective that it names."""

OBJECTIVES: dict[str, type[ObjectiveSettings]] = {
    settings.model_fields["name"].default: settings for settings in get_args(AnyObjective)
}
"""Settings by the objective's name."""

__all__ = ["OBJECTIVES", "FitObjective", "Mlcd"]
