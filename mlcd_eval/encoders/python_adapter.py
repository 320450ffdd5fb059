"""`python:MODULE:FACTORY` and `python:FILE.py:FACTORY`: the user's own Encoder."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from mlcd_eval.encoders.base import Encoder
from mlcd_eval.encoders.registry import Spec, model_name
from mlcd_eval.errors import ConfigError, nearest


def load(spec: Spec) -> Encoder:
    """Import the module and call the factory, which takes nothing and returns an Encoder."""
    where, _, factory = spec.target.rpartition(":")
    module = _import(where, spec.text)
    if not hasattr(module, factory):
        raise ConfigError(f"--model {spec.text!r}: {where} has no {factory!r}{nearest(factory, dir(module))}")
    encoder = getattr(module, factory)()
    if not isinstance(encoder, Encoder):
        raise ConfigError(
            f"--model {spec.text!r}: {factory} returned {type(encoder).__name__}, expected a mlcd_eval Encoder"
        )
    encoder.info = replace(encoder.info, spec=spec.text, name=model_name(spec.text))
    return encoder


def _import(where: str, spec: str) -> ModuleType:
    if not where.endswith(".py"):
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            if error.name is None or not where.startswith(error.name):
                raise  # the module is there, what it imports is not
            raise ConfigError(f"--model {spec!r}: no module {where!r}, expected one on the Python path") from error
    path = Path(where)
    found = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if found is None or found.loader is None:
        raise ConfigError(f"--model {spec!r}: no file {where}, expected a Python file")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module
