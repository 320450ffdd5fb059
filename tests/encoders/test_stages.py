"""Preprocessing in two stages gives what the whole transform gives, bit for bit."""

import numpy as np
import open_clip
import pytest
import timm.data
import torch
import transformers
from PIL import Image
from torchvision import transforms

from mlcd_eval.encoders.adapters.hf.transform import ImageTransform
from mlcd_eval.encoders.stages import split_preprocess
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.features.letterbox import Letterbox

UNEVEN = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}


def processor(name, **settings):
    settings = {"image_mean": UNEVEN["mean"], "image_std": UNEVEN["std"], **settings}
    return ImageTransform(getattr(transformers, name)(**settings))


TRANSFORMS = {
    "checkpoint": lambda: Preprocess(image_size=32),
    "letterbox": lambda: Letterbox(Preprocess(image_size=32), 0.9),
    **{
        f"open_clip {mode}": lambda mode=mode: open_clip.transform.image_transform(
            32, is_train=False, resize_mode=mode, **UNEVEN
        )
        for mode in ("shortest", "longest", "squash")
    },
    "letterbox of open_clip": lambda: Letterbox(open_clip.transform.image_transform(32, is_train=False)),
    "timm": lambda: timm.data.create_transform(32, crop_pct=0.9, **UNEVEN),
    "timm squash": lambda: timm.data.create_transform(32, crop_mode="squash", interpolation="bilinear", **UNEVEN),
    "CLIPImageProcessor": lambda: processor(
        "CLIPImageProcessorPil", size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ),
    "SiglipImageProcessor": lambda: processor("SiglipImageProcessorPil", size={"height": 32, "width": 32}),
    "BitImageProcessor": lambda: processor(
        "BitImageProcessorPil", size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}
    ),
}


def photos():
    noise = np.random.default_rng(0)
    for width, height in ((50, 40), (40, 50), (33, 200), (32, 32), (17, 19)):
        yield Image.fromarray(noise.integers(0, 256, (height, width, 3), np.uint8))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_two_stages_equal_the_transform(name):
    preprocess = TRANSFORMS[name]()
    split = split_preprocess(preprocess)
    assert split is not None and split.dtype == torch.uint8
    rows = torch.stack([split.prepare(image) for image in photos()])
    assert rows.dtype == torch.uint8 and rows.shape[1:] == split.shape == (32, 32, 3)
    expected = torch.stack([preprocess(image) for image in photos()])
    assert torch.equal(split.finish(rows), expected)


def test_the_table_is_the_formula_in_fp32():
    """As numpy computes it: a value / 255, minus the mean, over the deviation, each rounded to fp32."""
    table = split_preprocess(Preprocess(image_size=8, **UNEVEN)).table
    for channel, value in ((0, 0), (1, 77), (2, 255)):
        mean, std = (np.float32(UNEVEN[key][channel]) for key in ("mean", "std"))
        assert table[channel, value].item() == (np.float32(value) / np.float32(255) - mean) / std


def grey_after_normalising():
    return transforms.Compose([transforms.Resize((8, 8)), transforms.ToTensor(), transforms.Grayscale(3)])


def contrast():
    """Every value depends on the whole image."""
    return transforms.Compose(
        [transforms.Resize((8, 8)), transforms.ToTensor(), transforms.Lambda(lambda pixels: pixels / pixels.max())]
    )


class Normalize:
    """Another author's, whose values depend on their neighbours."""

    def __call__(self, pixels):
        return pixels - pixels.roll(1, dims=2)


def same_name():
    return transforms.Compose([transforms.Resize((8, 8)), transforms.ToTensor(), Normalize()])


@pytest.mark.parametrize("make", [grey_after_normalising, contrast, same_name, lambda: lambda image: torch.zeros(3)])
def test_what_is_no_table_is_not_split(make):
    assert split_preprocess(make()) is None
