"""The decoder `torch` against Pillow: alike within a few steps, and it refuses what Pillow refuses."""

import io
import random

import numpy as np
import pytest
import torch
from PIL import Image

from mlcd_train.data import decoders
from mlcd_train.data.decoders import BadImage, Load, check_decoder, difference
from mlcd_train.sections import Augmentation

AUGMENTATION = Augmentation(flip=0.5)


def encoded(kind, mode="RGB", size=(60, 45), **options):
    noise = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "contents",
    [
        encoded("JPEG"),
        encoded("JPEG", "L"),
        encoded("JPEG", "CMYK"),
        encoded("JPEG", progressive=True),
        encoded("PNG", "P"),
        encoded("WEBP"),
    ],
    ids=["rgb", "grey", "cmyk", "progressive", "palette", "webp"],
)
def test_both_decoders_agree_within_a_few_steps(contents, tmp_path):
    path = tmp_path / "image"
    path.write_bytes(contents)
    for seed in range(6):
        pil, quick = (
            Load(name, AUGMENTATION, 32)(contents, "k", random.Random(seed)).int() for name in ("pil", "torch")
        )
        assert (pil - quick).abs().double().mean() < 1 and (pil - quick).abs().max() <= 12
        assert torch.equal(quick, Load("torch", AUGMENTATION, 32)(path, "k", random.Random(seed)).int())


@pytest.mark.parametrize("decoder", ["pil", "torch"])
@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (encoded("JPEG")[:-60], "undecodable"),
        (b"", "undecodable"),
        (b"\xff\xd8 no image \xff\xd9", "undecodable"),
        (encoded("JPEG", size=(7, 40)), "too small"),
        (encoded("JPEG", size=(9, 9100)), "too long"),
        (encoded("PNG", "1", size=(14_000, 13_000)), "too large"),
    ],
    ids=["truncated", "empty", "garbage", "small", "long", "large"],
)
def test_bad_images_have_a_reason(decoder, contents, reason):
    with pytest.raises(BadImage, match="image 'k'") as raised:
        Load(decoder, AUGMENTATION, 32, min_side=8)(contents, "k", random.Random(0))
    assert raised.value.bad.reason == reason


def test_the_difference_is_stated_for_provenance():
    assert difference("pil", AUGMENTATION, 32) == "pil: exact"
    assert difference("torch", AUGMENTATION, 32).startswith("torch: differs from Pillow by 0.")


def test_only_the_decoder_of_torch_needs_a_package(monkeypatch):
    asked = []
    monkeypatch.setattr(decoders, "check_torchcodec", asked.append)
    check_decoder("pil")
    assert asked == []
    check_decoder("torch")
    assert asked == ["data.decoder: torch"]
