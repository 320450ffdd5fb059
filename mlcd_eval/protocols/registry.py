"""Protocols by name: the built-in ones, and those that other packages add as `mlcd_eval.protocols` entry points."""

from __future__ import annotations

from typing import Any

from mlcd_eval.protocols.base import Protocol
from mlcd_eval.support.registry import Registry

PROTOCOLS: Registry[type[Protocol[Any]]] = Registry(
    "protocol",
    "mlcd_eval.protocols",
    {
        "linear_probe": "mlcd_eval.protocols.classification.linear_probe:LinearProbe",
        "knn": "mlcd_eval.protocols.classification.knn:KNN",
        "zeroshot": "mlcd_eval.protocols.classification.zeroshot:ZeroShot",
        "retrieval": "mlcd_eval.protocols.retrieval:Retrieval",
        "refcoco": "mlcd_eval.protocols.refcoco.protocol:Refcoco",
        "docvqa": "mlcd_eval.protocols.docvqa.protocol:DocVQA",
    },
)
"""Name -> class."""


def get_protocol(name: str) -> Protocol[Any]:
    """Return the protocol of this name. Raises ConfigError for an unknown name."""
    return PROTOCOLS[name]()
