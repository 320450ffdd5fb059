"""Protocols by name; each is imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.protocols.base import Protocol

PROTOCOLS = {
    "linear_probe": "LinearProbe",
    "knn": "KNN",
    "zeroshot": "ZeroShot",
    "retrieval": "Retrieval",
    "refcoco": "Refcoco",
    "docvqa": "DocVQA",
}
"""Name, which is also its module's, -> class."""


def get_protocol(name: str) -> Protocol[Any]:
    """Raises ConfigError for an unknown name."""
    if name not in PROTOCOLS:
        raise ConfigError(
            f"unknown protocol {name!r}, expected one of {', '.join(PROTOCOLS)}{nearest(name, PROTOCOLS)}"
        )
    module = importlib.import_module(f"mlcd_eval.protocols.{name}")
    return getattr(module, PROTOCOLS[name])()
