"""Weights: what goes wrong when a library loads them, how many there are, and how they are written."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import save_file

from mlcd_eval.errors import CheckpointError, IncompatibleError, UserError
from mlcd_eval.support.foreign import reading

if TYPE_CHECKING:
    from mlcd_eval.encoders.base import Encoder
    from mlcd_eval.encoders.spec import Spec


def as_checkpoint_error(load: Callable[[Spec], Encoder]) -> Callable[[Spec], Encoder]:
    """Turn what an adapter's library raises over the files into CheckpointError, also when the first image is prepared.
    An error that a line of this package raises is a bug and stays as it is."""

    @functools.wraps(load)
    def load_or_explain(spec: Spec) -> Encoder:
        with reading(f"--model {spec.text!r} cannot be loaded", CheckpointError):
            encoder = load(spec)
            _try_image(encoder)
        _try_text(encoder)
        return encoder

    return load_or_explain


def _try_image(encoder: Encoder) -> None:
    """Prepare an image that is not square, and encode it if it keeps another size than the adapter's square one."""
    layers = list(encoder.info.layers)[:1]
    if layers:
        pixels = encoder.preprocess(Image.new("RGB", (48, 32)))
        if pixels.shape[1:] != encoder.info.image_size:
            with torch.inference_mode():
                encoder.encode_images(pixels[None], layers)


def _try_text(encoder: Encoder) -> None:
    """Encode a text. A model that cannot do that is still one of images."""
    if encoder.info.has_text:
        try:
            with torch.inference_mode(), reading("has a text tower that encodes no text", IncompatibleError):
                encoder.encode_texts(["a photo"])
        except UserError as error:
            encoder.info = replace(encoder.info, has_text=False, no_text=str(error))


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
