"""Lists of class names and templates that other packages use, by the data set's name in clip-benchmark."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

from mlcd_eval.support.documents import read_json

IMAGENET7 = (  # the subset that did as well as all 80 for CLIP's authors (Prompt_Engineering_for_ImageNet.ipynb)
    "itap of a {c}.",
    "a bad photo of the {c}.",
    "a origami {c}.",
    "a photo of the large {c}.",
    "a {c} in a video game.",
    "art of the {c}.",
    "a photo of the small {c}.",
)

MTEB_TEMPLATES = {  # mteb 2.26, tasks/zeroshot_classification/eng; it reads some class names with their line ends
    "birdsnap": "a photo of a {c}, a type of bird.",
    "caltech101": "a photo of a {c}.",
    "cars": "a photo of a {c}.",
    "cifar10": "a photo of a {c}.",
    "cifar100": "a photo of a {c}.",
    "clevr_closest_object_distance": "{c} shapes.",
    "clevr_count_all": "a picture of {c} objects",
    "country211": "a photo showing the country of {c}\n.",
    "dtd": "a photo of {c} texture.",
    "eurosat": "a centered satellite photo of {c}.",
    "fer2013": "a photo of a {c} looking face.",
    "fgvc_aircraft": "a photo of a {c}, a type of aircraft.",
    "food101": "a photo of {c}, a type of food.",
    "gtsrb": "a close up photo of a '{c}\n' traffic sign.",
    "imagenet1k": "a photo of {c}\n.",
    "mnist": "a photo of the number: '{c}'.",
    "pcam": "histopathology image of {c}\n",
    "pets": "a photo of a {c}, a type of pet.",
    "renderedsst2": "a {c} review of a movie",
    "resisc45": "satellite imagery of {c}.",
    "stl10": "a photo of a {c}.",
    "sun397": "a photo of a {c}.",
    "ucf101": "a photo of {c}",
}
MTEB_TEMPLATE = "a photo of {c}."
"""For data that mteb has no task on: its prompt for ImageNet, without the line end."""

MTEB_CLASS_NAMES = {  # those of its tasks that are not clip-benchmark's
    "eurosat": (
        "annual crop land",
        "forest land",
        "brushland or shrubland",
        "highway or road",
        "industrial land",
        "pasture land",
        "permanent crop land",
        "residential land",
        "river",
        "sea or lake",
    ),
    "fer2013": ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
}


@cache
def clip_benchmark_lists(file: str) -> dict[str, list[str]]:
    """Return the lists of one of clip-benchmark's files by data set."""
    lists: dict[str, list[str]] = read_json(_inside("clip_benchmark", "datasets", file))
    return lists


@cache
def wordnet_class_names() -> tuple[str, ...]:
    """Return the first lemma of each ImageNet class in WordNet, as torchvision names its classes."""
    text = _inside("torchvision", "models", "_meta.py").read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_IMAGENET_CATEGORIES":
            return tuple(ast.literal_eval(node.value))
    raise AssertionError("torchvision names the classes of ImageNet in models/_meta.py")


def _inside(package: str, *parts: str) -> Path:
    """Return a file of a package, which is not imported since that would import torch. Raises ModuleNotFoundError where
    it is not installed."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(spec.origin).parent.joinpath(*parts)
