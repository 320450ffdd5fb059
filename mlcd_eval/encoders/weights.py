"""The identity of models, and what goes wrong when they are loaded."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import pickle
import re
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from safetensors.torch import save_file

from mlcd_eval.errors import CheckpointError

if TYPE_CHECKING:
    from mlcd_eval.encoders.base import Encoder
    from mlcd_eval.encoders.registry import Spec

FOREIGN_ERRORS = (
    *(OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError),
    *(ImportError, EOFError, pickle.UnpicklingError, SafetensorError, StrictDataclassError),
)
"""What model libraries raise over weights and configs that are missing, damaged, of another architecture or not plain
tensors."""

_CHANGES_NOTHING = {"transformers_version", "torch_dtype", "dtype"}


def as_checkpoint_error(load: Callable[[Spec], Encoder]) -> Callable[[Spec], Encoder]:
    """An adapter's `load` that raises CheckpointError for what its library makes of the files. What a line of this
    package raises is a bug and stays as it is."""

    @functools.wraps(load)
    def loaded(spec: Spec) -> Encoder:
        try:
            return load(spec)
        except FOREIGN_ERRORS as error:
            if _raised_here(error):
                raise
            kind = "" if isinstance(error, (OSError, ValueError, RuntimeError)) else f"{type(error).__name__}: "
            reason = textwrap.shorten(str(error), 300, placeholder=" ...")
            raise CheckpointError(f"--model {spec.text!r} cannot be loaded: {kind}{reason}") from error

    return loaded


def _raised_here(error: Exception) -> bool:
    """Whether the traceback ends in this package: every adapter hands the files to its library, so that what is wrong
    with them is found there."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return frame.f_globals["__name__"].partition(".")[0] == __package__.partition(".")[0]


def fingerprint(model: torch.nn.Module, *settings: object) -> str:
    """sha256 over the state dict (names, dtypes, shapes and bytes, in the order of the names) and over settings, plain
    data, on which outputs depend and which no tensor shows: activation, heads, tokenizer."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def settings_of(config: Any) -> object:
    """A transformers config, generation config or image processor as plain data, without what names files, versions and
    number formats."""
    return _plain(config.to_dict())


def _plain(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    kept = (key for key in value if not str(key).startswith("_") and key not in _CHANGES_NOTHING)
    return {str(key): _plain(value[key]) for key in kept}


def tokenizer_settings(tokenizer: Any) -> object:
    """A transformers tokenizer as plain data: all of a fast one, of others the vocabulary, merges being in no API."""
    fast = getattr(tokenizer, "backend_tokenizer", None)
    special = {str(key): str(value) for key, value in tokenizer.special_tokens_map.items()}
    return [fast.to_str() if fast is not None else sorted(tokenizer.get_vocab().items()), special]


def num_params(model: torch.nn.Module) -> int:
    """Parameters of the whole model, both towers."""
    return sum(parameter.numel() for parameter in model.parameters())


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """One safetensors file, on the disk when this returns; in a folder that is not yet under its name."""
    with os_errors(path):
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    with path.open("ab") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """safetensors tells of a full disk by an error of its own: raise the OSError that it was."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"(?:os error|code:) (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
