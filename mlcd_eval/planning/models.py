"""The models of a request: their names, and what is known of them before they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlcd_eval.encoders.base import NO_TEXT, Encoder
from mlcd_eval.encoders.kinds import KINDS
from mlcd_eval.encoders.registry import check_spec, model_name, named, parse
from mlcd_eval.planning.job import LocatedTask, needs_text_tower


@dataclass(frozen=True)
class PlannedModel:
    """A model by its name in records. encoder: the model itself if it is in memory, so that nothing is loaded."""

    name: str
    spec: str
    encoder: Encoder | None = None

    @property
    def text(self) -> str:
        """How a request names it: `SPEC` if the name is made from it, else `NAME=SPEC`."""
        return self.spec if self.encoder is None and self.name == model_name(self.spec) else f"{self.name}={self.spec}"

    def check(self) -> None:
        """Raise UserError for what is wrong with the spec and can be seen without importing a model library."""
        if self.encoder is None:
            check_spec(self.spec)

    def refusal(self, task: LocatedTask) -> str | None:
        """Return why the model cannot do a task, in a sentence, None if it can or only loading it tells.

        The model's spec must have passed `check`.
        """
        if not task.needs.texts:
            return None
        if self.encoder is not None:
            info = self.encoder.info
            return None if info.has_text else needs_text_tower(task.name, self.spec, info.no_text)
        spec = parse(self.spec)
        return needs_text_tower(task.name, self.spec, NO_TEXT) if KINDS[spec.kind].has_text(spec) is False else None


def planned_model(text: str, encoders: Mapping[str, Encoder]) -> PlannedModel:
    """Return the model that one word of --model means. encoders: models in memory, by name.

    Raises ConfigError for a spec without a meaning and a name that cannot be a folder.
    """
    name, spec = named(text)
    return PlannedModel(name, spec, encoders.get(name))


def left_out(sentence: str) -> str:
    """Return why a model and a task do not go together, with the flag that leaves the pair out."""
    return f"{sentence}; --skip-incompatible leaves this pair out"
