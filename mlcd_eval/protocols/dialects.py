"""Dialects: the settings by which another package or paper measures what a protocol measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from mlcd_eval.errors import ConfigError, nearest

DIALECT = "dialect"
"""The setting that names one."""


@dataclass(frozen=True)
class ProtocolDialect:
    """How one source measures.

    settings: those that differ from this package's defaults. source: paper or repository, with its version. differs:
    what still differs from the source and why, in a sentence; empty if the numbers are the same. explains: whether
    `explain` measures it; not where its heads are trained anew or it reads layers that runs do not keep.
    """

    settings: Mapping[str, Any]
    source: str
    differs: str = ""
    explains: bool = True


class ProtocolSettings(BaseModel):
    """What the settings of all protocols share. dialect: the name of the dialect that the others were taken from; the
    others alone decide the numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dialect: str | None = None


def expanded(dialects: Mapping[str, ProtocolDialect], where: str, *layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with those of their dialect filled in.

    layers: settings by increasing precedence, such as a task's and a request's. The dialect is that of the last layer
    with the key `dialect`; its settings override earlier layers, and yield to those of its own and later ones. Raises
    ConfigError, beginning with `where`, for a name that is not among the protocol's dialects.
    """
    chosen = max((number for number, layer in enumerate(layers) if DIALECT in layer), default=None)
    values: dict[str, Any] = {}
    for number, layer in enumerate(layers):
        if number == chosen and layer[DIALECT] is not None:
            values |= _known(dialects, where, layer[DIALECT]).settings
        values |= layer
    return values


def _known(dialects: Mapping[str, ProtocolDialect], where: str, name: object) -> ProtocolDialect:
    """Return a dialect by its name."""
    if isinstance(name, str) and name in dialects:
        return dialects[name]
    names = f"one of {', '.join(dialects)}" if dialects else "none, since its protocol has no dialects"
    raise ConfigError(f"{where}: 'dialect' is {name!r}, expected {names}{nearest(str(name), dialects)}")
