"""Upright features from kept ones: they are those of a pass over upright images, and only turned images are encoded."""

import io

import numpy as np
import pytest
from own_data import write_wds
from PIL import Image
from tiny_encoder import TinyEncoder

from mlcd_eval.data import open_dataset
from mlcd_eval.data.storage.images import orientation
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.features.reuse import KeptImages
from mlcd_eval.features.upright import UprightEncoder

LAYERS = ["penultimate", "projected"]


def photo(number, turn=None, kind="PNG"):
    pixels = np.random.default_rng(number).integers(256, size=(6, 8, 3), dtype=np.uint8)
    exif, file = Image.Exif(), io.BytesIO()
    if turn is not None:
        exif[0x0112] = turn
    Image.fromarray(pixels).save(file, kind, exif=exif)
    return file.getvalue()


def damaged(number):
    file = io.BytesIO()
    Image.fromarray(np.full((6, 8, 3), number, np.uint8)).save(file, "JPEG", exif=b"Exif\x00\x00no header of a TIFF")
    return file.getvalue()


def made(tmp_path, turns, more=()):
    images = [(photo(number, turn), number % 2) for number, turn in enumerate(turns)]
    return open_dataset(f"wds:{write_wds(tmp_path / 'mine', {'test': [*images, *more]})}").split("test")


def same(some, others):
    return all(
        np.allclose(some[layer].array, others[layer].array, atol=1e-6)
        and some[layer].keys == others[layer].keys
        and some[layer].labels.tolist() == others[layer].labels.tolist()
        and some[layer].bad == others[layer].bad
        for layer in LAYERS
    )


@pytest.mark.parametrize("limit", [None, 5])
def test_only_turned_images_are_encoded(tmp_path, limit):
    split = made(tmp_path, [None, 6, 1, 3, None, 8, None, 5])
    options, said = EncodeOptions(tmp_path / "cache", limit=limit), []
    encode = KeptImages(said.append)
    plain, upright = TinyEncoder(), UprightEncoder(TinyEncoder())
    assert encode(plain, split, LAYERS, options, lambda _: None).images_encoded == (limit or 8)
    whole = encode_split(upright, split, LAYERS, EncodeOptions(tmp_path / "other", limit=limit))
    turned = sum(key in ("s001", "s003", "s005", "s007") for key in whole.features["projected"].keys)
    assert 0 < turned < (limit or 8)
    for encoded in (turned, 0):
        done = encode(upright, split, LAYERS, options, lambda _: None)
        assert same(done.features, whole.features) and done.images_encoded == encoded
        assert said[-1] == (
            f"mine/test: EXIF turns {turned} of {limit or 8} images, which are encoded; the features of the others are "
            f"kept"
        )
    assert "no features of images are kept at penultimate and projected, so that 8 images are encoded" in said[0]


def test_without_kept_features_all_are_encoded_and_nothing_is_said_of_kept_ones(tmp_path):
    split, said = made(tmp_path, [None, 6, None]), []
    options, encode, upright = EncodeOptions(tmp_path / "cache"), KeptImages(said.append), UprightEncoder(TinyEncoder())
    assert encode(upright, split, LAYERS, options, lambda _: None).images_encoded == 3
    assert encode(upright, split, LAYERS, options, lambda _: None).images_encoded == 0
    assert said == [
        "mine/test: no features of upright images are kept at penultimate and projected, so that 3 images are encoded"
    ]


def test_an_image_with_damaged_exif_has_no_upright_features(tmp_path):
    split = made(tmp_path, [None, 6], more=[(damaged(9), 1)])
    options, upright = EncodeOptions(tmp_path / "cache", allow_bad_images=1), UprightEncoder(TinyEncoder())
    encode_split(TinyEncoder(), split, LAYERS, options)
    done = KeptImages(lambda _: None)(upright, split, LAYERS, options, lambda _: None)
    whole = encode_split(upright, split, LAYERS, EncodeOptions(tmp_path / "other", allow_bad_images=1))
    assert same(done.features, whole.features) and done.features["projected"].bad == ["s002"]


def test_orientation_is_read_from_headers(tmp_path):
    file = tmp_path / "turned.jpg"
    file.write_bytes(photo(0, 6, "JPEG"))
    assert [orientation(image) for image in (file, photo(0, 8), photo(0), Image.new("RGB", (2, 2)))] == [6, 8, 1, 1]
    assert [orientation(image) for image in (b"no image", tmp_path / "none.png", damaged(1))] == [None] * 3
