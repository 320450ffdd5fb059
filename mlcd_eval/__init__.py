"""Evaluation and benchmark harness for pretrained vision encoders.

What users call: `evaluate` (models and tasks -> results), `load_encoder` (spec -> encoder), `results_frame` (records ->
pandas). What users subclass or receive: `Encoder`, `EncoderInfo`, `TorchEncoder`, `Protocol`, `Inputs`, `Scores`,
`Metric`, `Result`, `RunRequest`, `UserError`. Each is imported when it is first used, so that `import mlcd_eval` stays
light.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"
__all__ = [
    "Encoder",
    "EncoderInfo",
    "Inputs",
    "Metric",
    "Protocol",
    "Result",
    "RunRequest",
    "Scores",
    "TorchEncoder",
    "UserError",
    "evaluate",
    "load_encoder",
    "results_frame",
]

if TYPE_CHECKING:
    from mlcd_eval.api import evaluate
    from mlcd_eval.encoders.base import Encoder, EncoderInfo
    from mlcd_eval.encoders.registry import load_encoder
    from mlcd_eval.encoders.torch_encoder import TorchEncoder
    from mlcd_eval.errors import UserError
    from mlcd_eval.metrics.base import Metric
    from mlcd_eval.protocols.base import Inputs, Protocol, Scores
    from mlcd_eval.records.result import Result
    from mlcd_eval.request import RunRequest
    from mlcd_eval.tables.frame import results_frame

os.environ.setdefault("MKL_CBWR", "AUTO")  # else MKL's last bits depend on where in memory a matrix happens to lie

_HOMES = {
    "Encoder": "encoders.base",
    "EncoderInfo": "encoders.base",
    "Inputs": "protocols.base",
    "Metric": "metrics.base",
    "Protocol": "protocols.base",
    "Result": "records.result",
    "RunRequest": "request",
    "Scores": "protocols.base",
    "TorchEncoder": "encoders.torch_encoder",
    "UserError": "errors",
    "evaluate": "api",
    "load_encoder": "encoders.registry",
    "results_frame": "tables.frame",
}
"""Public name -> the module that defines it."""


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'mlcd_eval' has no attribute {name!r}")
    return getattr(import_module(f"mlcd_eval.{_HOMES[name]}"), name)
