"""A model's spec, parsed: what every adapter gets."""

from __future__ import annotations

from dataclasses import dataclass


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
