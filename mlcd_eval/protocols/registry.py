"""Protocols by name; each is imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Any

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.protocols.base import Protocol

PROTOCOLS = {
    "linear_probe": "mlcd_eval.protocols.classification.linear_probe:LinearProbe",
    "knn": "mlcd_eval.protocols.classification.knn:KNN",
    "zeroshot": "mlcd_eval.protocols.classification.zeroshot:ZeroShot",
    "retrieval": "mlcd_eval.protocols.retrieval:Retrieval",
    "refcoco": "mlcd_eval.protocols.refcoco.protocol:Refcoco",
    "docvqa": "mlcd_eval.protocols.docvqa.protocol:DocVQA",
}
"""Name -> MODULE:CLASS."""


def get_protocol(name: str) -> Protocol[Any]:
    """Raises ConfigError for an unknown name."""
    if name not in PROTOCOLS:
        raise ConfigError(
            f"unknown protocol {name!r}, expected one of {', '.join(PROTOCOLS)}{nearest(name, PROTOCOLS)}"
        )
    module, _, class_name = PROTOCOLS[name].partition(":")
    return getattr(importlib.import_module(module), class_name)()
