"""The options of specs, `?name=value`: what a value looks like, and what it adds to a model's name.

An option that several kinds have means the same for each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


def _adds_nothing(_: object) -> str:
    return ""


@dataclass(frozen=True)
class Option:
    """`?name=value` after a target.

    metavar: how help and messages show a value; pattern: a regular expression for the whole value; label: from all
    options of a spec to what this one adds to the model's name, for options that change numbers.
    """

    name: str
    metavar: str
    help: str
    pattern: str = ".+"
    label: Callable[[Mapping[str, str]], str] = _adds_nothing


def _random_label(options: Mapping[str, str]) -> str:
    return f"_random_seed{options.get('seed', 0)}"


INIT = Option("init", "random", "weights drawn at random instead of pretrained ones", "random", _random_label)
SEED = Option("seed", "N", "which random weights (default 0)", r"\d+")
WEIGHTS_FILE = Option(
    "checkpoint",
    "FILE",
    "local weights, with any classifier or none",
    label=lambda options: f"_{Path(options['checkpoint']).stem}",
)
IMAGE_SIZE = Option(
    "img_size",
    "N",
    "side of the images in pixels",
    r"[1-9]\d*",
    lambda options: f"_{options['img_size']}px",
)
NUMBERS = r"-?\d+(\.\d+)?(,-?\d+(\.\d+)?){2}"


def _added(name: str) -> Callable[[Mapping[str, str]], str]:
    return lambda options: f"_{name}_{options[name]}"


LIKE = Option(
    "like", "TAG", "images prepared, and activation, as those published weights have it", label=_added("like")
)
MEAN = Option("mean", "R,G,B", "mean of the images' channels in [0, 1]", NUMBERS, _added("mean"))
STD = Option("std", "R,G,B", "standard deviation of the images' channels", NUMBERS, _added("std"))
INTERPOLATION = Option(
    "interpolation", "bicubic", "how images are scaled: bicubic, bilinear", "bicubic|bilinear", _added("interpolation")
)
RESIZE = Option(
    "resize",
    "shortest",
    "which side is scaled to the model's: shortest (and the rest cropped), longest (and padded), squash (both)",
    "shortest|longest|squash",
    _added("resize"),
)
IMAGES = (MEAN, STD, INTERPOLATION, RESIZE)
KEY = Option("key", "NAME", "which state dict of a training checkpoint, such as student", label=_added("key"))
GLOBAL_POOL = Option(
    "global_pool",
    "token",
    "pooling: token (class token), avg (mean), map (learned attention), none (patches only)",
    "token|avg|map|none",
    lambda options: f"_{options['global_pool']}pool",
)
TEST_SIZE = Option("test_size", "true", "the size at which timm validates the weights", "true", lambda _: "_test_size")
WEIGHTS = Option(
    "weights",
    "FILE",
    "a state dict, or the name of published weights",
    label=lambda options: f"_{Path(options['weights']).stem}",
)
ONNX_TEXT = Option("text", "FILE", "the text tower, an ONNX model")
ONNX_TOKENIZER = Option("tokenizer", "FOLDER", "the text tower's tokenizer, as transformers saves it")
SIDE = Option("image_size", "N", "side of the images in pixels", r"[1-9]\d*", lambda o: f"_{o['image_size']}px")
POOL = Option(
    "pool",
    "pooler|cls|mean",
    "the pooled feature: the model's own, the class token, or the mean of the patches",
    "pooler|cls|mean",
    _added("pool"),
)
TOWER = Option("tower", "vision", "the image tower out of a larger model", "vision")
CLEAN = Option(
    "clean",
    "lower|canonical|none",
    "cleaning of texts: lower-cased, the same without punctuation, or none; the default is that of training",
    "lower|canonical|none",
    _added("clean"),
)
CONTEXT = Option(
    "context",
    "N",
    "tokens of a text at most, instead of those of training; positions beyond these are interpolated",
    r"[1-9]\d*",
    _added("context"),
)
ADAPTOR = Option("adaptor", "NAME", "one of RADIO's heads, not its backbone", r"[\w.-]+", _added("adaptor"))
DEVICE_MAP = Option("device_map", "auto", "spreads a large model over devices, as accelerate does")
