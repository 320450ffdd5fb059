"""How open_clip weights without a config of their own were trained: preprocessing and activation.

An architecture's config has neither the mean and deviation of the images nor the way they are resized; open_clip keeps
these with each published tag. Weights of a file get what the architecture's tags agree on.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import open_clip
from open_clip.transform import PreprocessCfg

from mlcd_eval.encoders.published import setting_of
from mlcd_eval.encoders.spec import Spec

ACTIVATIONS = {True: "QuickGELU", False: "GELU"}


class QuickGELUWarning(UserWarning):
    """The activation of the architecture may not be the one that the weights were trained with."""


class Images(NamedTuple):
    """How images are prepared, by the arguments of open_clip's factory."""

    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    image_interpolation: str
    image_resize_mode: str


@dataclass(frozen=True)
class Training:
    """images: arguments of open_clip's factory, without those that it knows itself; quick_gelu: whether the model must
    be built with QuickGELU although its architecture has GELU; notes: for the record."""

    images: dict[str, Any]
    quick_gelu: bool
    notes: dict[str, str]


def training_of(spec: Spec, name: str, of_openai: bool, is_file: bool) -> Training:
    """For an architecture by name, with weights from a file or at random."""
    tags = ["openai"] if of_openai else open_clip.list_pretrained_tags_by_model(name)
    published = {tag: open_clip.get_pretrained_cfg(name, tag) for tag in tags}
    given = images_given(spec)
    images = dict(given)
    if of_openai:
        images = {**_images(PreprocessCfg().__dict__)._asdict(), **given}
    elif "like" in spec.options or len(given) < len(Images._fields):
        by_tag = {tag: _images(config) for tag, config in published.items()}
        common = setting_of(spec, by_tag, "preprocessing", lambda images: " ".join(map(str, images)))
        images = {**(common._asdict() if common else {}), **given}
    quick, notes = _activation(spec, name, of_openai, is_file)
    return Training(images, quick, notes)


def images_given(spec: Spec) -> dict[str, Any]:
    """What the spec says itself, as arguments of open_clip's factory."""
    given: dict[str, Any] = {
        f"image_{key}": tuple(map(float, spec.options[key].split(",")))
        for key in ("mean", "std")
        if key in spec.options
    }
    names = {"interpolation": "image_interpolation", "resize": "image_resize_mode"}
    return given | {argument: spec.options[key] for key, argument in names.items() if key in spec.options}


def _images(config: dict[str, Any]) -> Images:
    return Images(tuple(config["mean"]), tuple(config["std"]), config["interpolation"], config["resize_mode"])


def _activation(spec: Spec, name: str, of_openai: bool, is_file: bool) -> tuple[bool, dict[str, str]]:
    """Whether QuickGELU must be forced, and what the record says of the choice."""
    built = bool(open_clip.get_model_config(name).get("quick_gelu", False))
    like = spec.options.get("like")
    if of_openai:
        return not built, {"activation": "QuickGELU, as OpenAI's release files have it"}
    trained = {tag: _is_quick(name, tag) for tag in open_clip.list_pretrained_tags_by_model(name)}
    if like is not None:
        return trained[like] and not built, {"activation": f"{ACTIVATIONS[trained[like] or built]}, as {like}"}
    others = [tag for tag, quick in trained.items() if quick != built]
    if is_file and others:
        warnings.warn(
            f"--model {spec.text!r}: the file does not say with which activation it was trained. The architecture's "
            f"{ACTIVATIONS[built]} is taken; {', '.join(others)} have {ACTIVATIONS[not built]}: ?like=TAG says which",
            QuickGELUWarning,
            stacklevel=2,
        )
    return False, {"activation": f"{ACTIVATIONS[built]}, as the architecture {name}"}


def warn_of_another_activation(name: str, tag: str) -> None:
    """Weights trained with one activation lose accuracy silently under the other (open_clip issue 771)."""
    trained = _is_quick(name, tag)
    built = bool(open_clip.get_model_config(name).get("quick_gelu", False))
    if trained != built:
        hint = f"open_clip:{name}-quickgelu/{tag}" if trained else f"open_clip:{name.removesuffix('-quickgelu')}/{tag}"
        warnings.warn(
            f"weights {tag!r} were trained with {ACTIVATIONS[trained]} but the architecture {name} has "
            f"{ACTIVATIONS[built]}, which lowers every number: use {hint}",
            QuickGELUWarning,
            stacklevel=2,
        )


def _is_quick(name: str, tag: str) -> bool:
    return bool(open_clip.get_pretrained_cfg(name, tag).get("quick_gelu", False))
