"""From an RGB image to a tower's pixels: the model's own image processor, changed where the spec's options say so."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
import transformers
from PIL import Image

from mlcd_eval.encoders.adapters.hf.calls import pack
from mlcd_eval.encoders.bounds import check_images
from mlcd_eval.encoders.families.local import expect_pixels, has_processor
from mlcd_eval.encoders.families.rows import Family
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import ConfigError


class ImageTransform:
    """An image processor of transformers, applied to one PIL image. Picklable."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """RGB image -> (3, H, W) float32; patches of an image that keeps its aspect are packed (calls.py)."""
        if hasattr(self.processor, "video_sampling") or "Video" in type(self.processor).__name__:
            pixels = self.processor([image], return_tensors="pt")["pixel_values_videos"]
        else:
            output = self.processor(images=image, return_tensors="pt")
            pixels = output["pixel_values"]
            if "spatial_shapes" in output:
                return pack(pixels[0], output["spatial_shapes"][0])
        while pixels.dim() > 3:  # of crops of an image, the first is the whole; of frames, all are the image
            pixels = pixels[0]
        return pixels

    def at_side(self, side: int) -> ImageTransform | None:
        """Return the same for squares of another side, None where the processor has no side that can be set."""
        processor = copy.deepcopy(self.processor)
        return ImageTransform(processor) if hasattr(processor, "size") and _set_side(processor, side) else None

    def __str__(self) -> str:
        settings = self.processor.to_dict()
        return json.dumps({key: settings[key] for key in sorted(settings) if not key.startswith("_")}, default=str)


def transform_of(spec: Spec, where: str, family: Family, options: dict[str, Any]) -> ImageTransform:
    """The processor in the model's files, or one made from the options. Raises ConfigError if neither is given."""
    processor = _of_files(where, family, options)
    if processor is None:
        processor = _of_options(spec)
    else:
        check_images(f"--model {spec.text!r}: its image processor", processor.to_dict())
        _resize(processor, spec)
    for option, attribute in (("mean", "image_mean"), ("std", "image_std")):
        if option in spec.options:
            setattr(processor, attribute, _numbers(spec.options[option]))
    if family.unit_pixels:
        processor.do_normalize = False
    return ImageTransform(processor)


def _of_files(where: str, family: Family, options: dict[str, Any]) -> Any:
    """The processor in the model's files, None where they have none; a repository cannot be listed offline, so there
    every failure counts as none."""
    folder = Path(where)
    if folder.is_dir() and not has_processor(folder):
        return None
    try:
        return _processor(where, family, options)
    except OSError:
        if folder.is_dir():
            raise
        return None


def _processor(where: str, family: Family, options: dict[str, Any]) -> Any:
    if family.call == "video":
        return transformers.AutoVideoProcessor.from_pretrained(where, **options)
    return transformers.AutoImageProcessor.from_pretrained(where, backend="pil", **options)


def _of_options(spec: Spec) -> Any:
    """The shorter side is resized to image_size, bicubic, and the middle is cropped."""
    expect_pixels(spec)
    side = int(spec.options["image_size"])
    return transformers.CLIPImageProcessorPil(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}, do_convert_rgb=True
    )


def _resize(processor: Any, spec: Spec) -> None:
    """`image_size` keeps the processor's share of the image that is cropped away."""
    if "image_size" not in spec.options:
        return
    side = int(spec.options["image_size"])
    if not _set_side(processor, side):
        raise ConfigError(
            f"--model {spec.text!r}: got image_size={side}, expected none, since {type(processor).__name__} "
            "has no side that can be set"
        )


def _set_side(processor: Any, side: int) -> bool:
    """Change the side, with the share of the image that is cropped away; return whether there is a side to set."""
    size: dict[str, int] = dict(getattr(processor, "size", None) or {})
    crop = getattr(processor, "crop_size", None)
    cropped: dict[str, int] = dict(crop) if crop and getattr(processor, "do_center_crop", False) else {}
    shown = (cropped or size).get("height", (cropped or size).get("shortest_edge"))
    if shown is None:
        return False
    processor.size = {name: round(length * side / shown) for name, length in size.items() if length is not None}
    if cropped:
        processor.crop_size = {"height": side, "width": side}
    return True


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]
