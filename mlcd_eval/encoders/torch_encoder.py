"""What encoders around one PyTorch module share."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

import torch

from mlcd_eval.encoders.base import PATCHES, Encoder
from mlcd_eval.encoders.blocks import Stack
from mlcd_eval.encoders.layers import VALUE_PATCHES
from mlcd_eval.encoders.sizes import rescaled
from mlcd_eval.encoders.value_patches import last_call, unmixed
from mlcd_eval.errors import IncompatibleError

T = TypeVar("T", bound="TorchEncoder")


class TorchEncoder(Encoder):
    """An encoder around one PyTorch module, `model`, which holds the weights.

    A subclass sets `model`, `preprocess` and `info`, and implements `_layers`: pixels (B, 3, H, W) -> every layer, from
    one forward pass. `encode_texts` is implemented by those with a text tower, whose info says `has_text=True`.

    Example:
        >>> import torch
        >>> from mlcd_eval import EncoderInfo, TorchEncoder
        >>> class Mine(TorchEncoder):
        ...     def __init__(self, model, preprocess):
        ...         self.model, self.preprocess = model.eval(), preprocess
        ...         self.info = EncoderInfo(
        ...             spec="", name="mine", fingerprint="", preprocessing="resize to 8 x 8, [0, 1]", num_params=1536,
        ...             layers={"penultimate": 8}, image_size=(8, 8), has_text=False,
        ...         )
        ...     def _layers(self, pixels):
        ...         return {"penultimate": self.model(pixels)}
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 8, bias=False))
        >>> encoder = Mine(model, preprocess=lambda image: torch.zeros(3, 8, 8))
        >>> encoder.encode_images(torch.zeros(2, 3, 8, 8), ["penultimate"])["penultimate"].shape
        torch.Size([2, 8])
    """

    model: Any
    costed = True
    stack: Stack | None = None
    """The tower's blocks, where it has some that are read."""

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def encode_images(self, pixels: torch.Tensor, layers: Sequence[str]) -> dict[str, torch.Tensor]:
        """Return the layers asked for, from one forward pass of the image tower."""
        inside = [layer for layer in layers if layer not in self.info.layers] if self.stack is not None else []
        if self.stack is None or not inside:
            outputs = self._layers(pixels)
        elif VALUE_PATCHES in inside:
            with last_call(self.model, self.stack) as call:
                outputs = self._with_pooled(pixels, self.stack, [each for each in inside if each != VALUE_PATCHES])
            patches = self._to_joint(unmixed(self.model, self.stack, call))
            outputs[VALUE_PATCHES] = patches.unflatten(1, outputs[PATCHES].shape[1:3])
        else:
            outputs = self._with_pooled(pixels, self.stack, inside)
        return {layer: outputs[layer] for layer in layers}

    def _with_pooled(self, pixels: torch.Tensor, stack: Stack, inside: Sequence[str]) -> dict[str, torch.Tensor]:
        """Every layer of the output, and pooled ones inside the tower."""
        outputs: dict[str, torch.Tensor] = {}
        run = lambda: outputs.update(self._layers(pixels))  # noqa: E731
        return outputs | stack.read(self.model, inside, run, self._mask(pixels)) if inside else self._layers(pixels)

    def _to_joint(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tokens after the last norm (B, N, D) by the pooled feature's projection, for a tower with
        `projected_patches` of tokens."""
        raise NotImplementedError

    def _mask(self, pixels: torch.Tensor) -> torch.Tensor | None:
        """(B, N) bool, which tokens after the class token and registers are patches; None where all are."""
        return None

    def resized(self, size: tuple[int, int]) -> Encoder:
        """Return the encoder for images of another height and width. Raises IncompatibleError for a size that the model
        does not take, which one image shows."""
        sizes, own = self.info.sizes, self.info.image_size
        if sizes is None or size == own:
            return self if size == own else super().resized(size)
        try:
            other = self._of_size(size)
            with torch.inference_mode():
                grid = tuple(other._layers(torch.zeros(1, 3, *size, device=self.device))[PATCHES].shape[1:3])
        except (RuntimeError, ValueError, AssertionError, IndexError) as error:
            raise IncompatibleError(
                f"model {self.info.spec!r} takes no images of {size[0]} x {size[1]} pixels ({error}): expected others"
            ) from error
        if grid != sizes.grid(size):
            raise IncompatibleError(
                f"model {self.info.spec!r} has {grid[0]} x {grid[1]} patches for {size[0]} x {size[1]} pixels, "
                f"expected {' x '.join(map(str, sizes.grid(size)))}"
            )
        other.preprocess = rescaled(self.preprocess, max(size), own[0])
        shown = size[0] if size[0] == size[1] else f"{size[0]}x{size[1]}"
        other.info = replace(
            self.info,
            fingerprint=hashlib.sha256(f"{self.info.fingerprint} {sizes.positions} at {shown}".encode()).hexdigest(),
            preprocessing=" ".join(str(other.preprocess).split()),
            image_size=size,
        )
        return other

    def _of_size(self: T, size: tuple[int, int]) -> T:
        """A copy of this encoder whose tower takes images of a height and width; as it is where the tower takes any,
        else its modules are `with_own_modules`. `resized` sets `preprocess` and `info`."""
        return copy.copy(self)

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """Move the weights; they stay fp32."""
        self.model.to(device)
        if device.type == "cuda":
            self.model.to(memory_format=torch.channels_last)
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are; the CPU for a module without any."""
        tensors = chain(self.model.parameters(), self.model.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))
