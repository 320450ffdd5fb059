"""The training transform: random resized crop and flip, drawn from a random generator per image."""

from __future__ import annotations

import math
import random
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from mlcd_train.sections import Augmentation


class View(NamedTuple):
    """What training sees of an image. box: left, top, right, bottom in pixels."""

    box: tuple[int, int, int, int]
    flipped: bool


def view_of(size: tuple[int, int], chance: random.Random, config: Augmentation) -> View:
    """The crop and flip that are drawn for an image of some width and height."""
    box = crop_box(size, chance, config)
    return View(box, chance.random() < config.flip)


def augmented(image: Image.Image, chance: random.Random, config: Augmentation, size: int) -> torch.Tensor:
    """RGB image -> (size, size, 3) uint8."""
    view = view_of(image.size, chance, config)
    image = image.resize((size, size), Image.Resampling.BICUBIC, box=view.box)
    if view.flipped:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return torch.from_numpy(np.array(image))


def crop_box(size: tuple[int, int], chance: random.Random, config: Augmentation) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels, drawn as in torchvision's RandomResizedCrop: ten attempts, then the largest
    centre crop of an allowed ratio."""
    width, height = size
    low, high = (math.log(ratio) for ratio in config.ratio)
    for _ in range(10):
        area = width * height * chance.uniform(*config.scale)
        ratio = math.exp(chance.uniform(low, high))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = chance.randint(0, width - w), chance.randint(0, height - h)
            return left, top, left + w, top + h
    ratio = min(max(width / height, config.ratio[0]), config.ratio[1])
    w, h = min(width, max(1, round(height * ratio))), min(height, max(1, round(width / ratio)))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h
