"""`python:MODULE:FACTORY` and `python:FILE.py:FACTORY`: an Encoder that the user wrote."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from mlcd_eval.encoders.base import Encoder, EncoderInfo
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import ConfigError, nearest


def load(spec: Spec) -> Encoder:
    """Import the module and call the factory, which returns an Encoder; `?NAME=VALUE` are its arguments, as text.

    The file's text and the arguments become part of the fingerprint: another version of the code never gets the
    features of this one. Raises ConfigError for a module, factory or argument that does not exist.
    """
    where, _, factory = spec.target.rpartition(":")
    module = _import(where, spec.text)
    if not hasattr(module, factory):
        raise ConfigError(f"--model {spec.text!r}: {where} has no {factory!r}{nearest(factory, dir(module))}")
    encoder = _call(getattr(module, factory), spec.options, f"--model {spec.text!r}: {factory}")
    code = Path(module.__file__).read_bytes() if module.__file__ else b""
    authors = vars(encoder).setdefault("_authors_info", encoder.info)  # a factory may return one object every time
    request = " ".join(
        [authors.fingerprint, factory, *(f"{name}={spec.options[name]}" for name in sorted(spec.options))]
    )
    digest = hashlib.sha256(f"{request}\n".encode() + code).hexdigest()
    encoder.info = replace(authors, spec=spec.text, name=model_name(spec.text), fingerprint=digest)
    return encoder


def _call(factory: Any, arguments: dict[str, str], what: str) -> Encoder:
    """Return what the factory returns. Raises ConfigError unless that is an Encoder with an `info`."""
    if not callable(factory):
        raise ConfigError(f"{what} is a {type(factory).__name__}, expected a function that returns an Encoder")
    signature = inspect.signature(factory)
    try:
        signature.bind(**arguments)
    except TypeError as error:
        how = f"with {', '.join(arguments)}" if arguments else "without arguments"
        hint = "".join(nearest(name, signature.parameters) for name in arguments if name not in signature.parameters)
        raise ConfigError(
            f"{what} cannot be called {how} ({error}), expected FACTORY?NAME=VALUE&NAME=VALUE for its parameters "
            f"{signature}{hint}"
        ) from error
    encoder = factory(**arguments)
    if not isinstance(encoder, Encoder):
        raise ConfigError(f"{what} returned {type(encoder).__name__}, expected a mlcd_eval Encoder")
    if not isinstance(getattr(encoder, "info", None), EncoderInfo):
        raise ConfigError(f"{what} returned an Encoder without `info`, expected an EncoderInfo in it")
    return encoder


def _import(where: str, spec: str) -> ModuleType:
    if not where.endswith(".py"):
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            if error.name is None or not where.startswith(error.name):
                raise  # the module exists, what it imports does not
            raise ConfigError(f"--model {spec!r}: no module {where!r}, expected one on the Python path") from error
    path = Path(where)
    name = f"mlcd_eval_user_{path.stem}"  # a file called timm.py must not hide timm
    module_spec = importlib.util.spec_from_file_location(name, path)
    assert module_spec is not None and module_spec.loader is not None, "check_python saw a .py file"
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[name] = module  # dataclasses and pickle look there
    folder = str(path.absolute().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # for imports of its neighbours
    module_spec.loader.exec_module(module)
    return module
