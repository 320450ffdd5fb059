"""What a user asks for beside accuracy: the settings that zero-shot and the probes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from mlcd_eval.data.alterations.names import corruptions_of, in_short, small_changes
from mlcd_eval.data.open_set import OPEN_SET
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.base import Features, ImageRequest, Inputs
from mlcd_eval.protocols.classification.layer_roles import split_of
from mlcd_eval.protocols.dialects import ProtocolSettings

if TYPE_CHECKING:
    from torch import Tensor

SPLITS = ("train", "val", "test")
"""The roles of images that a protocol learns from or scores."""

Logits = Callable[[Features], "Iterator[Tensor]"]
"""Features of images -> their logits, in order, in chunks (B, C)."""


def _corruptions(value: Any) -> tuple[str, ...]:
    """Return a setting's words in the one form that means these corruptions."""
    words = [value] if isinstance(value, str) else value
    if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
        raise ValueError("expected all, or a list of corruptions such as [fog, snow/3]")
    return in_short(corruptions_of(words))


class ReliabilitySettings(ProtocolSettings):
    """calibration: report ECE, Brier score, NLL and AURC; `fitted` also after division of the logits by a temperature
    that is fitted on selection data. ood: report how well the logits tell the images of another data set from those of
    the test split; its reference, or the name of a known one. corruptions: report the accuracy under ImageNet-C's
    corruptions of the test images, `all` or a list such as [fog, snow/3]. stability: report how many predictions small
    changes of the images leave as they are."""

    calibration: Literal["raw", "fitted"] | None = None
    ood: str | None = None
    corruptions: Annotated[tuple[str, ...], BeforeValidator(_corruptions)] = ()
    stability: bool = False

    def reliability_given(self) -> list[str]:
        """The settings of this class that are set."""
        return [name for name in ReliabilitySettings.model_fields if name != "dialect" and getattr(self, name)]

    def without_reliability(self) -> ReliabilitySettings:
        """The same settings with none of this class's."""
        fields = ReliabilitySettings.model_fields.items()
        return self.model_copy(update={name: field.default for name, field in fields if name != "dialect"})

    def check_one_label(self, multilabel: bool) -> None:
        """Raise IncompatibleError where images have several labels."""
        if multilabel and self.reliability_given():
            raise IncompatibleError(
                f"{' and '.join(self.reliability_given())}: got a dataset with several labels per image, expected one"
            )

    def reliability_requests(self, test: ImageRequest) -> dict[str, ImageRequest]:
        """Return role -> images that are looked at beside those of a protocol without these settings."""
        open_set = {OPEN_SET: replace(test, split=OPEN_SET)} if self.ood else {}
        return {**open_set, **{name: replace(test, alteration=name) for name in self.alterations}}

    @property
    def alterations(self) -> list[str]:
        """The names of what is done to the test images."""
        return [*corruptions_of(self.corruptions), *(small_changes() if self.stability else ())]


def learned_from(inputs: Inputs) -> Inputs:
    """Return the inputs without images that only reliability is measured on."""
    return replace(inputs, images={role: each for role, each in inputs.images.items() if split_of(role) in SPLITS})
