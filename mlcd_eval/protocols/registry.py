"""Protocols by name: those of this package, and those that other packages add as `mlcd_eval.protocols` entry points."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mlcd_eval.protocols.base import Protocol
from mlcd_eval.support.registry import Registry

_CLASS = re.compile(r'^class (\w+)\(\w*Protocol\[\w+\]\):.*?^    name = "(\w+)"', re.DOTALL | re.MULTILINE)


def _shipped() -> dict[str, str]:
    """Name -> MODULE:CLASS of each class below this folder that names itself as a protocol does.

    Their files are read, not imported, so that a new protocol is one file and listing them stays light.
    """
    folder = Path(__file__).parent
    protocols = {}
    for path in sorted(folder.rglob("*.py")):
        if match := _CLASS.search(path.read_text(encoding="utf-8")):
            module = ".".join((__package__, *path.relative_to(folder).with_suffix("").parts))
            protocols[match[2]] = f"{module}:{match[1]}"
    return protocols


PROTOCOLS: Registry[type[Protocol[Any]]] = Registry("protocol", "mlcd_eval.protocols", _shipped())
"""Name -> class."""


def get_protocol(name: str) -> Protocol[Any]:
    """Return a protocol; raises ConfigError for an unknown name."""
    return PROTOCOLS[name]()
