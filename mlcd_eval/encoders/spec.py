"""A model's spec, parsed, as every adapter gets it; and the text that takes its place for a model in memory."""

from __future__ import annotations

from dataclasses import dataclass

from mlcd_eval.errors import ConfigError

OBJECT = "object"
"""The kind of a model that `evaluate` got in memory; records name it, and a user cannot write it."""


@dataclass(frozen=True)
class Spec:
    """A parsed spec `KIND:TARGET?key=value&...`; `text` is what the user wrote."""

    text: str
    kind: str
    target: str
    options: dict[str, str]
    trust_remote_code: bool = False
    offline: bool = False

    @property
    def random_seed(self) -> int | None:
        """The seed of `?init=random&seed=N`, None for pretrained weights."""
        return int(self.options.get("seed", "0")) if self.options.get("init") == "random" else None

    def numbers(self, name: str) -> tuple[float, ...]:
        """An option such as mean=0.5,0.5,0.5 as numbers."""
        return tuple(map(float, self.options[name].split(",")))

    @property
    def provenance(self) -> dict[str, str]:
        """What a record says about the weights beside their fingerprint."""
        return {} if self.random_seed is None else {"weights": f"random, seed {self.random_seed}"}


def object_spec(model: object) -> str:
    """Return what a record says of a model in memory instead of a spec: `object:MODULE.CLASS`."""
    return f"{OBJECT}:{type(model).__module__}.{type(model).__qualname__}"


def refuse_object(spec: Spec) -> None:
    """Raise ConfigError, since a spec of a model in memory does not lead to it."""
    raise ConfigError(
        f"--model {spec.text!r} was a model in memory: expected mlcd_eval.evaluate with the model itself, or its spec"
    )
