"""Altered images: their frame, their source of chance, small changes and names."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_encoder import Echo, TinyEncoder, check_it_passes_all_to
from torchvision import transforms

from mlcd_eval.data.alterations.alter import altered, framed
from mlcd_eval.data.alterations.names import ALL, CORRUPTIONS, corruptions_of, in_short, small_changes
from mlcd_eval.data.base import Sample, ShardScan, Split
from mlcd_eval.errors import DataError
from mlcd_eval.features.altered import AlteredEncoder
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.features.upright import UprightEncoder

CHANCE = ("gaussian_noise/3", "glass_blur/1", "snow/2", "frost/4", "fog/5", "elastic_transform/2")

ELSEWHERE = """
import hashlib, sys
import numpy as np
from PIL import Image
from mlcd_eval.data.alterations.alter import altered
image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8))
print(*(hashlib.sha256(altered(image, "a", name).tobytes()).hexdigest() for name in sys.argv[1:]))
"""


def picture(width=60, height=40, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8))


@pytest.mark.parametrize("size", [(60, 40), (40, 61), (224, 224), (500, 333), (3, 5)])
def test_the_frame_is_torchvisions(size):
    image = picture(*size)
    expected = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224)])(image)
    assert np.array_equal(np.asarray(framed(image)), np.asarray(expected))


def digest(name, key="a"):
    return hashlib.sha256(altered(picture(), key, name).tobytes()).hexdigest()


def test_chance_depends_on_key_and_name_and_on_nothing_else():
    first = [digest(name) for name in CHANCE]
    np.random.seed(5)
    assert [digest(name) for name in reversed(CHANCE)][::-1] == first
    assert all(digest(name, "b") != one for name, one in zip(CHANCE, first, strict=True))
    assert digest("gaussian_noise/3", "\udcff") != first[0]  # a name that is not UTF-8
    found = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *CHANCE],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == first


def test_contents_are_stored_as_jpeg_and_keep_the_orientation():
    image = picture()
    image.info["exif"] = b"Exif\x00\x00turned"
    made = altered(image, "a", "contrast/5")
    assert made.size == (224, 224) and made.info["exif"] == image.info["exif"]
    assert "exif" not in altered(picture(), "a", "contrast/5").info


@pytest.mark.parametrize("name", ["fog/1", "stability/crop"])
@pytest.mark.parametrize("size", [(1, 1), (2, 50)])
def test_an_image_of_one_pixel_is_refused_in_a_sentence(name, size):
    with pytest.raises(DataError, match=rf"image 'k' cannot be altered by {name}: got {size[0]} x {size[1]} pixels"):
        altered(picture(*size), "k", name)


def test_small_changes_by_hand():
    image = picture(64, 32)
    pixels = np.asarray(image)
    made = {name.partition("/")[2]: np.asarray(altered(image, "any", name)) for name in small_changes()}
    assert np.array_equal(made["flip"], pixels[:, ::-1])
    assert np.array_equal(made["crop"], pixels[1:31, 2:62])
    assert np.array_equal(made["shift_right"][:, 2:], pixels[:, :-2])
    assert np.array_equal(made["shift_right"][:, :2], np.repeat(pixels[:, :1], 2, axis=1))
    assert np.array_equal(made["shift_left"], made["shift_right"][:, ::-1]) is False
    assert np.array_equal(made["shift_left"][:, :-2], pixels[:, 2:])
    assert np.array_equal(made["shift_up"][:-1], pixels[1:]) and np.array_equal(made["shift_down"][1:], pixels[:-1])
    assert made["jpeg"].shape == pixels.shape and 0 < np.abs(made["jpeg"].astype(int) - pixels).mean() < 60


def test_words_mean_corruptions_and_have_one_short_form():
    every = corruptions_of([ALL])
    assert len(every) == 75 and every[:2] == ("gaussian_noise/1", "gaussian_noise/2") and in_short(every) == (ALL,)
    assert corruptions_of(["fog/3", "fog/1", "fog/3"]) == ("fog/1", "fog/3")
    assert in_short(corruptions_of(["snow/2", "fog"])) == ("snow/2", "fog")
    assert in_short(corruptions_of([f"fog/{severity}" for severity in range(1, 6)])) == ("fog",)
    assert in_short(corruptions_of(CORRUPTIONS)) == (ALL,)
    for word in ("frog", "fog/6", "fog/0", ""):
        with pytest.raises(ValueError, match=f"as in fog/3, got '{word}'"):
            corruptions_of([word])


class Pictures:
    name = "one"

    def scan(self):
        return ShardScan("f" * 64, 70)

    def samples(self):
        return (Sample(f"s{number}", picture(seed=number), number % 3) for number in range(70))


def test_features_are_the_same_with_any_number_of_workers(tmp_path):
    """Noise of each image, whoever makes it; a worker loads 32 images at a time."""
    found = []
    for workers in (0, 3):
        encoder = AlteredEncoder(TinyEncoder(), "impulse_noise/5")
        options = EncodeOptions(tmp_path / str(workers), workers=workers, batch_size=16 + 24 * bool(workers))
        found.append(encode_split(encoder, Split("d", "test", [Pictures()]), ["penultimate"], options))
    one, many = (np.array(each.features["penultimate"].array) for each in found)
    assert np.array_equal(one, many)
    encoder = TinyEncoder()
    pixels = [encoder.preprocess(altered(picture(seed=n), f"s{n}", "impulse_noise/5")) for n in range(70)]
    expected = encoder.encode_images(torch.stack(pixels), ["penultimate"])["penultimate"]
    assert np.allclose(one, expected.numpy(), atol=1e-6)


def test_the_alteration_is_part_of_the_features_identity():
    encoder = TinyEncoder()
    words = {AlteredEncoder(encoder, name).info.preprocessing for name in ("fog/1", "fog/2")}
    assert len(words) == 2 and all(text.endswith(encoder.info.preprocessing) for text in words)
    assert AlteredEncoder(UprightEncoder(encoder), "fog/1").info.preprocessing.startswith("altered by fog/1 (recipe 1)")
    outside = UprightEncoder(AlteredEncoder(encoder, "fog/1"))
    assert outside.alter(picture(), "a") == altered(picture(), "a", "fog/1") and encoder.alter is None
    echo = Echo()
    check_it_passes_all_to(echo, AlteredEncoder(echo, "fog/1"))
