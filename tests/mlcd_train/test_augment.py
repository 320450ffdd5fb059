"""Crops are of the size that was asked for, and the whole image is what inference sees."""

import math
import random

import pytest
import torch
from PIL import Image

from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_train.augment import augmented, crop_box
from mlcd_train.sections import Augmentation

PREPROCESS = Preprocess(image_size=16)


def test_crops_are_within_the_image_and_of_the_asked_area():
    chance = random.Random(0)
    config = Augmentation(scale=(0.3, 0.6), ratio=(0.8, 1.25))
    for _ in range(300):
        left, top, right, bottom = crop_box((60, 40), chance, config)
        assert 0 <= left < right <= 60 and 0 <= top < bottom <= 40
        assert 0.27 < (right - left) * (bottom - top) / 2400 < 0.65
        assert 0.75 < (right - left) / (bottom - top) < 1.33
    assert crop_box((100, 10), random.Random(0), Augmentation(scale=(0.99, 1.0))) == (43, 0, 56, 10)


def test_the_whole_image_without_flip_is_the_inference_transform():
    image = Image.effect_mandelbrot((32, 32), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    config = Augmentation(scale=(1, 1), ratio=(1, 1))
    pixels = augmented(image, random.Random(0), config, 16)
    assert torch.equal(PREPROCESS.normalise(Image.fromarray(pixels.numpy())), PREPROCESS(image))
    flipped = augmented(image, random.Random(0), config.model_copy(update={"flip": 1.0}), 16)
    assert (flipped.flip(1).int() - pixels.int()).abs().max() <= 1


class Given:
    """Chance that gives some numbers; an offset is the largest that there may be."""

    def __init__(self, *numbers):
        self.numbers, self.ranges = list(numbers), []

    def uniform(self, low, high):
        self.ranges.append((low, high))
        return self.numbers.pop(0)

    def randint(self, low, high):
        assert low == 0
        return high


def test_a_crop_by_hand():
    """Half of 60 x 40 with sides of 1.2: the roots of 1,440 and 1,000; all of it, 54 x 45, does not fit."""
    config = Augmentation(scale=(0.3, 1.0), ratio=(0.5, 1.5))
    chance = Given(1.0, math.log(1.2), 0.5, math.log(1.2))
    assert crop_box((60, 40), chance, config) == (60 - 38, 40 - 32, 60, 40)
    assert chance.ranges == [(0.3, 1.0), (math.log(0.5), math.log(1.5))] * 2
    assert crop_box((40, 40), Given(1.0, 0.0), config) == (0, 0, 40, 40)


@pytest.mark.parametrize(
    ("size", "box"), [((100, 10), (43, 0, 56, 10)), ((10, 100), (0, 43, 10, 56)), ((1, 50), (0, 24, 1, 25))]
)
def test_after_ten_attempts_it_is_the_largest_crop_in_the_middle(size, box):
    chance = Given(*[1.0, 5.0] * 10)  # sides of e^5 fit no image
    assert crop_box(size, chance, Augmentation()) == box and not chance.numbers
