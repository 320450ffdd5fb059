"""State dicts as people keep them: inside a training checkpoint, under the names of wrappers, beside other parts.

Whatever the form, what is read are tensors by name. A file that holds code is refused; the record says what was taken.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from safetensors.torch import load_file

from mlcd_eval.encoders.torchscript import is_torchscript, read_torchscript
from mlcd_eval.errors import CheckpointError, nearest

CONTAINERS = (
    *("state_dict_ema", "model_ema", "ema_state_dict", "ema"),
    *("state_dict", "model_state_dict", "model", "module", "teacher", "student"),
)
"""Keys of training checkpoints under which a state dict is kept, the first that is there is taken: averaged weights
before raw ones, a teacher before its student, as their authors evaluate them."""

WRAPPERS = ("module.", "_orig_mod.")  # DistributedDataParallel, torch.compile
PARTS = ("teacher.", "student.", "ema.", "model.", "backbone.", "base_encoder.", "encoder_q.")
OPENAI = frozenset({"input_resolution", "context_length", "vocab_size"})
"""Buffers that OpenAI's release files of CLIP have beside the weights."""


@dataclass(frozen=True)
class StateDict:
    """tensors: by name; source: which part of which file this is, for the record; of_openai: whether the file is
    OpenAI's release of a CLIP model, or its state dict."""

    tensors: Mapping[str, torch.Tensor]
    source: str
    of_openai: bool = False

    def fitted(self, names: Collection[str]) -> StateDict:
        """The tensors of the part that a model with these parameter names is, without that part's prefix.

        A training checkpoint names the encoder `backbone.` or `teacher.backbone.` and has heads beside it. A prefix
        that the model's own names have is kept.
        """
        tensors, source = dict(self.tensors), self.source
        while prefix := next((part for part in PARTS if _starts(tensors, part) and not _starts(names, part)), None):
            kept = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            beside = len(tensors) - len(kept)
            source += f", {prefix}*" + (f" without {beside} tensors beside it" if beside else "")
            tensors = kept
        return replace(self, tensors=tensors, source=source)


def read_state_dict(path: Path, key: str | None = None) -> StateDict:
    """Read a safetensors file, what `torch.save` wrote of tensors, or a TorchScript archive.

    key: which of a training checkpoint's state dicts, None for the first of CONTAINERS.
    Raises CheckpointError for a file that needs code to be opened, or without tensors.
    """
    checkpoint = _content(path)
    inside, source = _state_dict(checkpoint, key, path) if isinstance(checkpoint, Mapping) else ({}, path.name)
    tensors = {_unwrapped(str(name)): value for name, value in inside.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors by name, expected a state dict")
    weights = {name: value for name, value in tensors.items() if name not in OPENAI}
    return StateDict(weights, source, of_openai=tensors.keys() >= OPENAI)


def check_equal_shapes(got: Mapping[str, Any], expected: Mapping[str, torch.Tensor], what: str) -> None:
    """Raise CheckpointError unless names and shapes are equal. what: the file, as a message's subject."""
    shapes_got, shapes_expected = ({name: _shape(value) for name, value in side.items()} for side in (got, expected))
    wrong = sorted(
        name for name in {*shapes_expected, *shapes_got} if shapes_expected.get(name) != shapes_got.get(name)
    )
    if wrong:
        raise CheckpointError(
            f"{what} holds weights of another architecture, {len(wrong)} tensors differ: first {wrong[0]}, got "
            f"{shapes_got.get(wrong[0], 'none')}, expected {shapes_expected.get(wrong[0], 'none')}"
        )


@contextmanager
def substituted(module: ModuleType, name: str, function: Any) -> Iterator[None]:
    """A library's function replaced by ours, where the library offers no argument for what it does."""
    before = getattr(module, name)
    setattr(module, name, function)
    try:
        yield
    finally:
        setattr(module, name, before)


def _content(path: Path) -> Any:
    if path.suffix == ".safetensors":
        return load_file(path)
    if is_torchscript(path):
        return read_torchscript(path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # a training script's arguments, as timm allows
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError as error:  # a length in a damaged pickle
        raise CheckpointError(f"{path} is damaged, or asks for more memory than there is") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is a pickle of more than tensors, which could run code and is not opened: where you trust it, "
            "save its weights once by safetensors.torch.save_file(model.state_dict(), 'weights.safetensors')"
        ) from error


def _state_dict(checkpoint: Mapping[Any, Any], key: str | None, path: Path) -> tuple[Mapping[Any, Any], str]:
    """The innermost state dict, and where it was."""
    inside, source = checkpoint, path.name
    wanted = CONTAINERS if key is None else (key,)
    while name := next((name for name in wanted if isinstance(inside.get(name), Mapping)), None):
        inside, source = inside[name], f"{source}, {name}"
        wanted = CONTAINERS
    if key is not None and inside is checkpoint:
        keys = [str(name) for name, value in checkpoint.items() if isinstance(value, Mapping)]
        raise CheckpointError(
            f"{path} has no state dict {key!r}, expected {'one of ' + ', '.join(keys) if keys else 'no key'}"
            f"{nearest(key, keys)}"
        )
    return inside, source


def _unwrapped(name: str) -> str:
    """A tensor's name without what DistributedDataParallel and torch.compile put before and into it."""
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name.replace("._orig_mod.", ".")


def _starts(names: Collection[str], prefix: str) -> bool:
    return any(name.startswith(prefix) for name in names)


def _shape(value: Any) -> str:
    return str(tuple(value.shape)) if isinstance(value, torch.Tensor) else type(value).__name__
