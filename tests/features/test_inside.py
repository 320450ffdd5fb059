"""Layers inside a tower in the store: kept in fp16, and the pooled layers beside whatever is encoded."""

import dataclasses

import numpy as np
import pytest
import torch
from levels import MeanEncoder, make_split, options

from mlcd_eval.encoders.layers import BlockInfo
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.encode import encode_split


class Deep(MeanEncoder):
    """block_1/mean: a third of the mean grey level, times `scale`; patches of one dimension."""

    def __init__(self, scale=1.0):
        super().__init__()
        layers = {**self.info.layers, "patches": 1}
        self.info = dataclasses.replace(self.info, layers=layers, blocks=BlockInfo(2, 1, ("mean",)))
        self.scale = scale

    def encode_images(self, pixels, layers):
        outputs = super().encode_images(pixels, [layer for layer in layers if layer in ("penultimate", "projected")])
        third = self.scale * pixels.mean((1, 2, 3))[:, None] / 3
        every = {"block_1/mean": third, "blocks": torch.stack([third, 2 * third], 1)[:, :, None]}
        every["patches"] = third[:, None, None]
        return outputs | {layer: every[layer] for layer in layers if layer in every}


@pytest.mark.parametrize("first", ["penultimate", "projected", "block_1/mean", "patches"])
def test_a_pass_keeps_both_pooled_layers(tmp_path, first):
    encoder, split = Deep(), make_split()
    assert encode_split(encoder, split, [first], options(tmp_path)).images_encoded == 8
    encoded = encode_split(encoder, split, ["penultimate", "projected"], options(tmp_path))
    assert (encoded.images_encoded, encoder.seen) == (0, 8)
    assert encoded.features["projected"].array.tolist() == [[-level] for level in range(8)]


def test_a_pooled_layer_that_is_kept_is_not_computed_again(tmp_path):
    split = make_split()
    encode_split(Deep(), split, ["penultimate"], options(tmp_path))
    asked = []

    class Asked(Deep):
        def encode_images(self, pixels, layers):
            asked.append(sorted(layers))
            return super().encode_images(pixels, layers)

    encode_split(Asked(), split, ["patches"], options(tmp_path))
    assert {tuple(layers) for layers in asked} == {("patches",)}


def test_a_damaged_pooled_layer_beside_is_computed_again(tmp_path):
    split = make_split()
    encode_split(Deep(), split, ["penultimate"], options(tmp_path))
    for path in tmp_path.rglob("features.npy"):
        path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\7")
    with pytest.warns(UserWarning, match="are damaged"):
        encode_split(Deep(), split, ["patches"], options(tmp_path))
    encoded = encode_split(Deep(), split, ["penultimate"], options(tmp_path))
    assert encoded.images_encoded == 0 and encoded.features["penultimate"].array[:, 0].tolist() == list(range(8))


def test_layers_inside_are_kept_in_fp16_through_pieces_and_parts(tmp_path, monkeypatch):
    monkeypatch.setattr("mlcd_eval.features.pieces.SECONDS", 0.0)
    layers = ["block_1/mean", "blocks", "patches", "penultimate"]
    features = encode_split(Deep(), make_split(), layers, options(tmp_path, batch_size=2)).features
    thirds = np.float16(np.arange(8) / np.float32(3))
    assert {layer: features[layer].array.dtype.str for layer in layers} == dict(
        zip(layers, ("<f2", "<f2", "<f4", "<f4"), strict=True)
    )
    assert features["block_1/mean"].array[:, 0].tolist() == thirds.tolist()
    assert features["blocks"].array.shape == (8, 2, 1, 1)
    assert features["blocks"].array[:, 1, 0, 0].tolist() == (2 * thirds).tolist()
    assert np.array_equal(features["patches"].array.ravel(), np.arange(8, dtype=np.float32) / 3)


def test_a_number_beyond_fp16_is_one_sentence(tmp_path):
    with pytest.raises(
        IncompatibleError, match=r"layer 'block_1/mean' is kept in fp16: got a feature of 1.33e\+05, expected at most"
    ):
        encode_split(Deep(1e5), make_split(), ["block_1/mean"], options(tmp_path))
