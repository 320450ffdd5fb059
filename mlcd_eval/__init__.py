"""Evaluation and benchmark harness for pretrained vision encoders.

Entry points: `evaluate` (model, tasks -> results), `load_encoder` (spec -> encoder), `results_frame` (records ->
pandas). They are imported when first used, so that `import mlcd_eval` stays light.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["evaluate", "load_encoder", "results_frame"]

if TYPE_CHECKING:
    from mlcd_eval.api import evaluate
    from mlcd_eval.encoders.registry import load_encoder
    from mlcd_eval.tables.frame import results_frame

os.environ.setdefault("MKL_CBWR", "AUTO")  # else MKL's last bits depend on where in memory a matrix happens to lie

_HOMES = {"evaluate": "api", "load_encoder": "encoders.registry", "results_frame": "tables.frame"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mlcd_eval' has no attribute {name!r}")
    return getattr(import_module(f"mlcd_eval.{_HOMES[name]}"), name)
