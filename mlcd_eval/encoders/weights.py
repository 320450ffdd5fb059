"""Weights: what goes wrong when a library loads them, how many there are, and how they are written."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from mlcd_eval.errors import CheckpointError
from mlcd_eval.support.foreign import reading

if TYPE_CHECKING:
    from mlcd_eval.encoders.base import Encoder
    from mlcd_eval.encoders.spec import Spec


def as_checkpoint_error(load: Callable[[Spec], Encoder]) -> Callable[[Spec], Encoder]:
    """Turn what an adapter's library raises over the files into CheckpointError. An error that a line of this package
    raises is a bug and stays as it is."""

    @functools.wraps(load)
    def load_or_explain(spec: Spec) -> Encoder:
        with reading(f"--model {spec.text!r} cannot be loaded", CheckpointError):
            return load(spec)

    return load_or_explain


def num_params(model: torch.nn.Module) -> int:
    """How many numbers the parameters of the whole model hold, both towers together."""
    return sum(parameter.numel() for parameter in model.parameters())


def check_vocabulary(spec: str, largest: int, size: int | None) -> None:
    """Raise CheckpointError for a token that a text tower with a vocabulary of this size lacks. size: None where it is
    not known."""
    if size is not None and largest >= size:
        raise CheckpointError(
            f"--model {spec!r}: its tokenizer gives token {largest:,}, expected less than its vocabulary of {size:,}"
        )


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Write one safetensors file, which is on the disk when this returns. It is written under its own name: callers
    rename the folder that it is in."""
    with os_errors(path):
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)
    with path.open("ab") as file:
        os.fsync(file.fileno())


@contextlib.contextmanager
def os_errors(path: Path) -> Iterator[None]:
    """Raise the OSError behind what safetensors raises for a full disk, which is an error of its own."""
    try:
        yield
    except SafetensorError as error:
        number = re.search(r"(?:os error|code:) (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
