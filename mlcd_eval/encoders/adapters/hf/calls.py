"""How image towers are called with a batch of pixels: one function per way, named by the rows of families."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

_EXTRA_ROWS = 1  # of packed pixels, below the patches


@dataclass(frozen=True)
class Output:
    """hidden: the last hidden state, (B, N, D), (B, D, h, w) or (B, h, w, D); pooled: (B, D), None where the class
    pools nothing; mask: (B, N) bool, which tokens are patches of the image, None where all are."""

    hidden: torch.Tensor
    pooled: torch.Tensor | None = None
    mask: torch.Tensor | None = None


Call = Callable[[Any, torch.Tensor], Output]


def images(tower: Any, pixels: torch.Tensor, resized: bool = False) -> Output:
    """As most towers are called. resized: whether position embeddings are interpolated, where the tower can do that."""
    interpolated = resized and takes_other_sizes(tower)
    return _output(tower(pixel_values=pixels, **({"interpolate_pos_encoding": True} if interpolated else {})))


def takes_other_sizes(tower: Any) -> bool:
    """Whether a tower can be asked to interpolate its positions."""
    return "interpolate_pos_encoding" in inspect.signature(tower.forward).parameters


def mae(tower: Any, pixels: torch.Tensor, resized: bool = False) -> Output:
    """Without masking (the row sets mask_ratio 0), and with noise that keeps the patches in their order."""
    patch, size = tower.config.patch_size, pixels.shape[-2:]
    noise = torch.arange((size[0] // patch) * (size[1] // patch), device=pixels.device).float()
    return _output(tower(pixel_values=pixels, noise=noise.expand(len(pixels), -1), interpolate_pos_encoding=resized))


def video(tower: Any, pixels: torch.Tensor) -> Output:
    """A still image as a clip: the frame is repeated to fill one tubelet, which gives one grid of patches."""
    clip = pixels[:, None].expand(-1, tower.config.tubelet_size, -1, -1, -1)
    return _output(tower(pixel_values_videos=clip, skip_predictor=True))


def radio(tower: Any, pixels: torch.Tensor, head: str = "backbone") -> Output:
    """Summary and spatial features; of a model with adaptors, those of one head (RADIO/radio/radio_model.py)."""
    output = tower(pixels)
    output = output if hasattr(output, "summary") else output[head]
    return Output(output.features, output.summary)


def naflex(tower: Any, pixels: torch.Tensor) -> Output:
    """Patches of images that keep their aspect, as `pack` packed them."""
    patches, shapes, mask = pixels[:, :, :-_EXTRA_ROWS], _shapes(pixels), naflex_mask(pixels)
    output = tower(
        pixel_values=patches.permute(0, 2, 3, 1).flatten(2), pixel_attention_mask=mask.long(), spatial_shapes=shapes
    )
    return Output(output.last_hidden_state, output.pooler_output, mask)


def naflex_mask(pixels: torch.Tensor) -> torch.Tensor:
    """(B, N) bool, which rows of packed pixels are patches and not padding."""
    rows = torch.arange(pixels.shape[2] - _EXTRA_ROWS, device=pixels.device)
    return rows < _shapes(pixels).prod(1, keepdim=True)


def _shapes(pixels: torch.Tensor) -> torch.Tensor:
    """(B, 2), height and width of the grids of packed pixels."""
    return pixels[:, 0, -_EXTRA_ROWS, :2].long()


def pack(patches: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    """(N, P * P * 3) patches and their grid's (height, width) as one (3, N + 1, P * P), whose last row holds the shape:
    every image of a batch then has the same size, as the interface wants it."""
    colours = patches.unflatten(1, (-1, 3)).permute(2, 0, 1)
    row = torch.zeros(3, _EXTRA_ROWS, colours.shape[2])
    row[:, 0, :2] = shape.float()
    return torch.cat([colours, row], dim=1)


def _output(output: Any) -> Output:
    return Output(output.last_hidden_state, getattr(output, "pooler_output", None))


CALLS: dict[str, Call] = {
    "images": images,
    "mae": mae,
    "video": video,
    "radio": radio,
    "naflex": naflex,
}
RESIZED: dict[str, Call] = {
    "images": functools.partial(images, resized=True),
    "mae": functools.partial(mae, resized=True),
}


def call_of(name: str, options: Mapping[str, str]) -> Call:
    """The call that a row names, with the options of a spec that change it."""
    if "adaptor" in options:
        return functools.partial(radio, head=options["adaptor"])
    return RESIZED.get(name, CALLS[name]) if "image_size" in options else CALLS[name]
