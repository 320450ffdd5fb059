"""What a model's config may ask for, checked before anything is built: one line can ask for terabytes, or for code.

The largest models in use have 126 layers, a width of 18,432 and a vocabulary of 901,629 tokens.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import CheckpointError

LARGEST_SIDE = 16_384
"""Pixels of an image's or a crop's side."""
_MODEL = {
    r"(\w+_)?(num|n)_(\w+_)?(layers?|blocks)|layers|depths?|num_layers": 1_000,
    r"(image|img|input|crop)_size": LARGEST_SIDE,
    r"(\w+_)?(hidden|intermediate|embed|projection|ffn|mlp)_(size|dim)s?|width|d_model|dim": 262_144,
    r"mlp_ratio": 64,
    r"(\w+_)?(heads|channels|experts|queries|(register|query|prefix)_tokens)": 65_536,
    r"vocab_size|num_(labels|classes)": 10_000_000,
    r"max_position_embeddings|context_length|n_positions": 1 << 24,
}
"""Pattern of a key in a model's config -> the largest number."""
_IMAGES = {
    r"(\w+_)?(size|height|width|edge)": LARGEST_SIDE,
    r"(min|max)_pixels": LARGEST_SIDE**2,
    r"(\w+_)?(tiles|patches|crops)": 65_536,
}
"""Pattern of a key in what prepares images -> the largest number."""
_SHARED_LAYERS = ("albert",)
MOST_PATCHES = 1 << 20
_FEW = 1_000_000
"""Weights that a config may describe whatever its files hold, so that those are read and tell what is wrong."""


IMAGE_SECTIONS = ("preprocess", "preprocess_cfg", "pretrained_cfg")
"""What prepares images, in the config of this project's checkpoints, of open_clip and of timm."""


def check_config(what: str, config: Mapping[str, Any], weights: Sequence[Path] = ()) -> None:
    """Raise CheckpointError for a config with a model's shape and how images are prepared, as `check_model` and
    `check_images` do."""
    check_model(what, {key: value for key, value in config.items() if key not in IMAGE_SECTIONS}, weights)
    check_images(what, {key: config.get(key) for key in IMAGE_SECTIONS})


def check_model(what: str, config: Mapping[str, Any], weights: Sequence[Path] = ()) -> None:
    """Raise CheckpointError for a config that no model has, with its key and value. what: the file, for the message.

    weights: the files of the model's weights, which a config may not exceed: attention alone has more than one number
    per layer and square of the width, and no number takes less than four bits.
    """
    _check_numbers(what, config, _MODEL)
    size = sum(path.stat().st_size for path in weights)
    for section in _sections(config):
        for key, value in section.items():
            if re.fullmatch(r"_?(attn|attention|experts)_impl(ementation)?(_internal)?", key):
                _check_implementation(what, key, value)
        image, patch = _number(section, "image_size", "img_size"), _number(section, "patch_size")
        if image and patch and (image / patch) ** 2 > MOST_PATCHES:
            raise CheckpointError(f"{what} has {image:g} pixels in patches of {patch:g}, expected fewer patches")
        numbers = _fewest_numbers(section)
        if weights and numbers > 2 * size + _FEW:
            raise CheckpointError(
                f"{what} describes at least {numbers:,.0f} weights, expected no more than the file with its {size:,} "
                "bytes can hold"
            )


def check_images(what: str, config: Mapping[str, Any]) -> None:
    """Raise CheckpointError for sizes of images that nothing takes, and for a mean or deviation that cannot be used.
    what: the file, for the message."""
    keys = {key for section in _sections(config) for key in section}
    areas = "max_pixels" in keys or {"patch_size", "merge_size"} <= keys  # Qwen2-VL's "edges" are areas
    _check_numbers(what, config, {r"\w+_edge": LARGEST_SIDE**2, **_IMAGES} if areas else _IMAGES)
    for section in _sections(config):
        for key, value in section.items():
            if re.fullmatch(r"(image_)?std", key):
                check_std(f"{what}: {key}", value)
            if re.fullmatch(r"(image_)?mean", key) and not all(map(math.isfinite, _numbers(value))):
                raise CheckpointError(f"{what} has {key} = {value!r}, expected finite numbers")
        sides = section.get("input_size")
        if isinstance(sides, (list, tuple)) and any(not isinstance(side, int) or side < 1 for side in sides):
            raise CheckpointError(f"{what} has input_size = {sides!r}, expected whole numbers from 1 on")
        side = max(_numbers(sides), default=0)
        crop = _number(section, "crop_pct")
        if crop is not None and not side / LARGEST_SIDE < crop <= 10:
            raise CheckpointError(f"{what} has crop_pct = {crop:g}, expected the share of an image that is shown")


def check_std(what: str, value: Any) -> None:
    """Raise CheckpointError for a standard deviation of 0, or none. what: where it is, for the message."""
    if not all(math.isfinite(number) and number > 0 for number in _numbers(value)):
        raise CheckpointError(f"{what} is {value!r}, expected numbers above 0: pixels are divided by them")


def check_options(spec: Spec) -> None:
    """Raise CheckpointError for sizes and deviations of a spec's own options."""
    what = f"--model {spec.text!r}"
    for name in ("image_size", "img_size"):
        if spec.options.get(name, "").isdecimal():
            _check_numbers(what, {name: int(spec.options[name])}, _MODEL)
    if re.fullmatch(r"[-.,\d]+", spec.options.get("std", "")):
        check_std(f"{what}: std", list(spec.numbers("std")))


def _check_numbers(what: str, config: Any, bounds: Mapping[str, int]) -> None:
    """Every number below the keys that a pattern of `bounds` matches; lists hold one per stage or side."""
    for section in _sections(config):
        for key, value in section.items():
            most = next((most for pattern, most in bounds.items() if re.fullmatch(pattern, key)), None)
            if most is None:
                continue
            for number in _numbers(value):
                if not 0 <= abs(number) <= most:
                    raise CheckpointError(f"{what} has {key} = {number:,.10g}, expected at most {most:,}")


def _check_implementation(what: str, key: str, value: Any) -> None:
    for name in value.values() if isinstance(value, Mapping) else [value]:
        if isinstance(name, str) and re.search(r"[/:@]", name):
            raise CheckpointError(
                f"{what} has {key} = {name!r}, which is code on the hub, expected sdpa, eager or another that "
                "transformers has itself"
            )


def _fewest_numbers(section: Mapping[str, Any]) -> float:
    """Fewer than the weights of the layers and the vocabulary that a section describes."""
    width = _number(section, "hidden_size", "width") or 0
    layers = _number(section, "num_hidden_layers", "layers", "depth") or 0
    if section.get("model_type") in _SHARED_LAYERS:
        layers = 1
    if isinstance(section.get("layers"), list):  # a ResNet's, whose width is that of its first stage
        layers = 0
    hidden = _number(section, "intermediate_size") or width * (_number(section, "mlp_ratio") or 1)
    vocabulary = (_number(section, "vocab_size") or 0) / 2
    return width * (layers * (width + hidden) + vocabulary)


def _sections(config: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a config, at any depth."""
    if isinstance(config, Mapping):
        yield config
    if isinstance(config, (Mapping, list, tuple)):
        for part in config.values() if isinstance(config, Mapping) else config:
            yield from _sections(part)


def _number(section: Mapping[str, Any], *keys: str) -> float | None:
    """The first number that one of the keys has; of a list, its largest."""
    values = [max(_numbers(section.get(key)), default=None) for key in keys]
    return next((value for value in values if value is not None), None)


def _numbers(value: Any) -> list[float]:
    """A number, or those in a list, at any depth; other values have none."""
    if isinstance(value, (list, tuple)):
        return [number for part in value for number in _numbers(part)]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return []
    return [float(value) if abs(value) < 1e300 else math.inf]  # an integer may be beyond every float
