"""`--decoder`: how images become pixels. `pil` is each model's own preprocessing and exact.

`torch` resizes by PyTorch instead of Pillow, on 8-bit pixels and antialiased as Pillow does it. It is faster, and some
pixels differ by one step of 255, so that features are kept apart from those of `pil`. `torchcodec` does so too and
decodes JPEG files by TorchCodec; on a GPU both happen there, to pixels of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from PIL import Image

from mlcd_eval.encoders.base import Encoder, Preprocess
from mlcd_eval.errors import ConfigError, IncompatibleError
from mlcd_eval.features.wrapped import WrappedEncoder

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from mlcd_eval.encoders.towers.preprocess import Halves
    from mlcd_eval.features.jpegs import OnDevice

TORCH = "resized by torch on 8-bit pixels"
TORCHCODEC = "JPEG files decoded by TorchCodec"
NVJPEG = "JPEG files decoded by nvJPEG, images resized on the GPU"


def with_decoder(encoder: Encoder, decoder: str) -> Encoder:
    """Return an encoder of images with the decoder `pil`, `torch` or `torchcodec`; other models prepare their images
    themselves."""
    if decoder == "pil" or not encoder.info.layers:
        return encoder
    if decoder == "torch":
        return TorchResizedEncoder(encoder)
    on_cpu = TorchCodecEncoder(encoder)
    return JpegsOnGpu(on_cpu) if encoder.device.type == "cuda" else on_cpu


def check_decoder(decoder: str) -> None:
    """Raise ConfigError if a decoder needs a package that does not work here."""
    if decoder == "torchcodec":
        check_torchcodec("--decoder torchcodec")


def check_torchcodec(asked_by: str) -> None:
    """Raise ConfigError if TorchCodec does not work here. asked_by: the setting that needs it."""
    try:
        from torchcodec.decoders import decode_jpeg  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:  # it loads libraries that fit some versions of PyTorch
        raise ConfigError(
            f"{asked_by} needs TorchCodec 0.16 or later, pip install 'mlcd-eval[torchcodec]': {error}"
        ) from error


class TorchResizedEncoder(WrappedEncoder):
    """An encoder whose images are resized by PyTorch, which `said` adds to its features' identity."""

    decoder = "torch"
    said = TORCH

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self.info = replace(encoder.info, preprocessing=f"{self.said}; {encoder.info.preprocessing}")

    @cached_property
    def preprocess(self) -> Preprocess:  # type: ignore[override]
        """The encoder's preprocessing with another resize. Raises IncompatibleError if its steps are not known."""
        return self.steps

    @cached_property
    def steps(self) -> TorchResize:
        """The preprocessing's steps. Raises IncompatibleError if they are not known."""
        steps = _steps(self._encoder.preprocess)
        if steps is None:
            raise IncompatibleError(
                f"--decoder {self.decoder}: model {self.info.spec!r} is preprocessed by "
                f"{type(self._encoder.preprocess).__name__}, expected a checkpoint's or torchvision's Resize and "
                f"CenterCrop; use --decoder pil"
            )
        return steps


class TorchCodecEncoder(TorchResizedEncoder):
    """The same, with JPEG files decoded by TorchCodec on the CPU."""

    decoder = "torchcodec"
    said = f"{TORCHCODEC}; {TORCH}"

    @property
    def jpeg(self) -> Callable[[bytes], Image.Image]:  # type: ignore[override]
        """TorchCodec's decoder."""
        from mlcd_eval.features.jpegs import decode_jpeg_on_cpu

        return decode_jpeg_on_cpu


class JpegsOnGpu(WrappedEncoder):
    """An encoder on a GPU whose images are decoded and resized there, but for letterboxed ones. on_cpu: the encoder of
    those."""

    def __init__(self, on_cpu: TorchCodecEncoder) -> None:
        super().__init__(on_cpu)
        self.on_cpu = on_cpu
        self.info = replace(on_cpu.info, preprocessing=f"{NVJPEG}; {on_cpu.info.preprocessing}")

    @property
    def preprocess(self) -> Preprocess:  # type: ignore[override]
        """The preprocessing on the CPU."""
        return self.on_cpu.preprocess

    def on_device(self) -> OnDevice:
        """Return what makes batches of pixels on the GPU."""
        from mlcd_eval.features.jpegs import OnDevice

        return OnDevice(self.device, self.on_cpu.steps.resize)


@dataclass(frozen=True)
class TorchResize:
    """resizes: torchvision transforms of tensors, in order. normalise: 8-bit image -> the encoder's input."""

    resizes: Sequence[Any]
    normalise: Any

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """RGB image -> (3, H, W) float32."""
        return self.normalise(Image.fromarray(self.resized(image)))

    def halves(self, _: Any) -> Halves:
        """Return the two stages."""
        return self.resized, self.normalise

    def at_side(self, side: int) -> TorchResize | None:
        """Return the same for squares of another side, None where the last step crops nothing."""
        from mlcd_eval.encoders.sizes import rescaled_steps

        own: Any = getattr(self.resizes[-1], "size", ())
        steps = rescaled_steps(self.resizes, side / own[0]) if len(set(own)) == 1 else None
        return None if steps is None else replace(self, resizes=steps)

    def resized(self, image: Image.Image) -> Any:
        """RGB image -> (H, W, 3) uint8."""
        import numpy as np
        import torch

        pixels = self.resize(torch.from_numpy(np.array(image)).permute(2, 0, 1))
        return pixels.permute(1, 2, 0).contiguous().numpy()

    def resize(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels (3, H, W) uint8 on any device -> the same of the encoder's size."""
        for resize in self.resizes:
            pixels = resize(pixels)
        return pixels


def _steps(preprocess: Any) -> TorchResize | None:
    """Return a transform's steps for PyTorch, None unless all of them are known."""
    from torchvision.transforms import v2

    from mlcd_eval.encoders.stages import halves_of
    from mlcd_eval.encoders.towers.preprocess import Preprocess as OwnPreprocess

    halves = halves_of(preprocess)
    if halves is None:
        return None
    resized, normalise = halves
    if isinstance(preprocess, OwnPreprocess):
        size = preprocess.image_size
        bicubic = v2.InterpolationMode.BICUBIC
        return TorchResize((v2.Resize(size, bicubic, antialias=True), v2.CenterCrop(size)), normalise)
    resizes: list[Any] = []
    for step in getattr(resized, "transforms", [None]):
        match type(step).__name__:
            case "Resize":
                resizes.append(v2.Resize(step.size, step.interpolation, max_size=step.max_size, antialias=True))
            case "CenterCrop":
                resizes.append(v2.CenterCrop(step.size))
            case "MaybeConvertMode":  # open_clip's; images are RGB already
                continue
            case _:
                return None
    return TorchResize(tuple(resizes), normalise)
