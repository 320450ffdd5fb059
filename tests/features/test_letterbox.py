"""A letterboxed encoder sees the whole image, whatever its preprocessing crops."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_encoder import TinyEncoder
from torchvision import transforms

from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.letterbox import Letterbox, LetterboxedEncoder, shown_of_a_square


def cropping(side, resized):
    return transforms.Compose(
        [
            transforms.Resize(resized, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(side),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.2)),
        ]
    )


@pytest.mark.parametrize(
    ("side", "resized"), [(224, 224), (224, 248), (224, 256), (224, 225), (518, 518), (518, 592), (32, 36)]
)
def test_the_shown_part_is_measured_to_the_pixel(side, resized):
    assert shown_of_a_square(cropping(side, resized)) == side / resized


def test_transforms_that_only_resize_show_everything():
    squash = transforms.Compose([transforms.Resize((64, 64)), transforms.ToTensor()])
    resizing = (squash, Preprocess(image_size=64), TinyEncoder().preprocess)
    assert all(shown_of_a_square(preprocess) == 1 for preprocess in resizing)


@pytest.mark.parametrize("size", [(400, 400), (400, 300), (90, 200)])
def test_an_encoder_that_crops_sees_the_same_as_one_that_does_not(size):
    noise = np.random.default_rng(0).integers(256, size=(9, 9, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize(size)
    preprocess = cropping(224, 256)
    seen = Letterbox(preprocess, shown_of_a_square(preprocess))(image)
    expected = Letterbox(cropping(224, 224))(image)
    assert (seen - expected).abs().mean() < 0.05  # edges mix with the margin, and sizes are rounded to pixels
    assert (Letterbox(preprocess)(image) - expected).abs().mean() > 0.2


def test_the_margin_is_part_of_the_features_identity():
    encoder = TinyEncoder()
    assert "margin" not in LetterboxedEncoder(encoder).info.preprocessing
    encoder.preprocess = cropping(8, 9)
    assert "with a margin around the middle 0.8889" in LetterboxedEncoder(encoder).info.preprocessing


@pytest.mark.parametrize(
    "transform",
    [
        transforms.Compose([transforms.Resize(224), transforms.CenterCrop((224, 160)), transforms.ToTensor()]),
        transforms.Compose([transforms.Resize(80), lambda image: image.crop((0, 0, 64, 64)), transforms.ToTensor()]),
        lambda image: torch.zeros(3, 8, 8),
    ],
    ids=["wide", "corner", "nothing"],
)
def test_a_transform_that_does_not_show_the_middle_of_a_square_is_refused(transform):
    with pytest.raises(IncompatibleError, match="the encoder cannot be shown whole images: its preprocessing shows"):
        shown_of_a_square(transform)
