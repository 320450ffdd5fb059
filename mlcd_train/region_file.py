"""Boxes of images and what is in them: a file of JSON lines, and the regions of an image as a training step sees it.

A line is {"key": ..., "size": [width, height], "regions": [{"box": [left, top, width, height], "label": "cat"}, {"box":
[...], "text": "NO EXIT"}]}, in pixels of the image. A region has a label (an object) or a text, whose classes are the
tokens of CLIP's BPE.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mlcd_eval.errors import DataError
from mlcd_eval.support.documents import json_lines
from mlcd_eval.support.foreign import reading
from mlcd_train.assignment import NONE
from mlcd_train.augment import View, view_of
from mlcd_train.label_file import KEY
from mlcd_train.sections import Augmentation

TOKENS = 16  # of a text that are learned
VISIBLE = 0.5  # share of a box that a crop must hold, or its region is left out
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


class Region(NamedTuple):
    """box: in pixels of the image. names: one class of an object, or the tokens of a text."""

    box: Box
    is_text: bool
    names: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """The regions of images in a step, N for each, padded with ones that have no classes. boxes (B, N, 4): within the
    crops, from 0 to 1; objects (B N, 1) and texts (B N, TOKENS): classes, padded with NONE."""

    boxes: Tensor
    objects: Tensor
    texts: Tensor


class RegionFile:
    """The regions of a file, by the images' keys. objects, texts: names -> classes, by falling frequency.

    Raises DataError for a file that is missing or of another form, for boxes that reach outside their image or cover no
    patch, and where there is a single class.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"fit.objective.regions: there is no file {path}")
        self._images: dict[str, tuple[tuple[int, int], list[Region]]] = {}
        with reading(f"{path} cannot be read"), path.open(encoding="utf-8-sig") as lines:
            for number, row in json_lines(lines, path):
                key, size, regions = _row(row, f"{path}, row {number}")
                if key in self._images:
                    raise DataError(f"{path}, row {number}: the key {key!r} is there twice, expected each once")
                self._images[key] = size, regions
        all_regions = [region for _, regions in self._images.values() for region in regions]
        self.objects = _classes(region.names for region in all_regions if not region.is_text)
        self.texts = _classes(region.names for region in all_regions if region.is_text)
        if not self.objects and not self.texts:
            raise DataError(f"{path} has no regions, expected some")
        for kind, classes in (("objects", self.objects), ("texts", self.texts)):
            if len(classes) == 1:
                raise DataError(
                    f"{path}: its {kind} are of a single class, {next(iter(classes))!r}: expected 2 or more"
                )

    def __contains__(self, key: str) -> bool:
        return key in self._images

    def __len__(self) -> int:
        return len(self._images)

    def size_of(self, key: str) -> tuple[int, int]:
        """Width and height of an image."""
        return self._images[key][0]

    def seen(self, keys: Sequence[str], seeds: Sequence[str], augmentation: Augmentation, count: int) -> Seen:
        """Of each image at most `count` regions that its crop shows, drawn at random if there are more. seeds: of the
        crops, by image."""
        boxes = torch.zeros(len(keys), count, 4)
        objects = torch.full((len(keys), count, 1), NONE)
        texts = torch.full((len(keys), count, TOKENS), NONE)
        for image, (key, seed) in enumerate(zip(keys, seeds, strict=True)):
            if key not in self._images:
                continue
            size, regions = self._images[key]
            view = view_of(size, random.Random(seed), augmentation)
            pairs = ((within(region.box, view), region) for region in regions)
            shown = [(box, region) for box, region in pairs if box is not None]
            if len(shown) > count:
                shown = random.Random(f"{seed} regions").sample(shown, count)
            for place, (box, region) in enumerate(shown):
                boxes[image, place] = torch.tensor(box)
                classes, target = (self.texts, texts) if region.is_text else (self.objects, objects)
                own = torch.tensor([classes[name] for name in region.names])
                target[image, place, : len(own)] = own
        return Seen(boxes, objects.flatten(0, 1), texts.flatten(0, 1))


def within(box: Box, view: View) -> Box | None:
    """A box of an image, in the coordinates of a crop from 0 to 1, None if less than VISIBLE of it is there."""
    (left, top, right, bottom), (x, y, x2, y2) = box, view.box
    inner = max(left, x), max(top, y), min(right, x2), min(bottom, y2)
    area = max(inner[2] - inner[0], 0.0) * max(inner[3] - inner[1], 0.0)
    if area < VISIBLE * (right - left) * (bottom - top):
        return None
    a, c = (inner[0] - x) / (x2 - x), (inner[2] - x) / (x2 - x)
    if view.flipped:
        a, c = 1 - c, 1 - a
    return a, (inner[1] - y) / (y2 - y), c, (inner[3] - y) / (y2 - y)


def vocabulary_of(classes: Iterable[str]) -> str:
    """Fingerprint of names in the order of their classes."""
    return hashlib.sha256(json.dumps(list(classes)).encode()).hexdigest()


def _row(row: Any, where: str) -> tuple[str, tuple[int, int], list[Region]]:
    try:
        key, (width, height), regions = str(row[KEY]), row["size"], row["regions"]
        boxes = [tuple(float(side) for side in region["box"]) for region in regions]
        texts = [region.get("text") for region in regions]
        names = [
            (str(region["label"]),) if text is None else _tokens(text)
            for region, text in zip(regions, texts, strict=True)
        ]
        assert all(len(box) == 4 and all(map(math.isfinite, box)) for box in boxes)
        assert 0 < width < math.inf and 0 < height < math.inf
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError, AssertionError) as error:
        raise DataError(
            f"{where}: got {str(row)[:60]}, expected key, size [width, height] and regions, each with a box [left, "
            "top, width, height] and a label or a text"
        ) from error
    made = []
    for number, ((left, top, wide, high), text, own) in enumerate(zip(boxes, texts, names, strict=True), start=1):
        what = f"{where}: the box {[left, top, wide, high]} of region {number}"
        if not (wide > 0 and high > 0):
            raise DataError(f"{what} covers no patch of the image, expected a width and a height above 0")
        if left < 0 or top < 0 or left + wide > width or top + high > height:
            raise DataError(f"{what} reaches outside the image, expected one within its {width} x {height} pixels")
        made.append(Region((left, top, left + wide, top + high), text is not None, own))
    return key, (width, height), made


@cache
def _tokenizer() -> Any:
    import open_clip  # here, since its import takes longer than PyTorch's

    return open_clip.SimpleTokenizer()


def _tokens(text: str) -> tuple[str, ...]:
    tokenizer = _tokenizer()
    return tuple(dict.fromkeys(tokenizer.decoder[token] for token in tokenizer.encode(text)))[:TOKENS]


def _classes(names: Iterable[Sequence[str]]) -> dict[str, int]:
    counts = Counter(name for of_region in names for name in of_region)
    return {name: place for place, name in enumerate(sorted(counts, key=lambda name: (-counts[name], name)))}
