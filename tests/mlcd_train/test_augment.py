"""Crops are of the size that was asked for, and the whole image is what inference sees."""

import random

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
