"""Windows that slide over images: averages against a slow loop, and against mmsegmentation's averages of scores."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_encoder import TinyEncoder
from torch.nn.functional import interpolate

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, CheckpointEncoder, DualEncoder
from mlcd_eval.encoders.base import PATCHES, PROJECTED_PATCHES
from mlcd_eval.encoders.layers import VALUE_PATCHES
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.features.decoders import JpegsOnGpu, TorchCodecEncoder, with_decoder
from mlcd_eval.features.letterbox import LetterboxedEncoder
from mlcd_eval.features.windows import framed
from mlcd_eval.protocols.frame import Frame

PATCH = 8


@pytest.fixture(scope="module")
def encoder():
    vision = {"image_size": 32, "patch_size": PATCH, "width": 16, "depth": 2, "heads": 2}
    config = {"vision": vision, "preprocess": {"image_size": 32}, "embed_dim": 8}
    torch.manual_seed(0)
    return CheckpointEncoder("", DualEncoder(CheckpointConfig.model_validate(config)))


def pixels_of(side):
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def encoded(encoder, pixels, layer=PATCHES):
    with torch.inference_mode():
        return encoder.encode_images(pixels, [layer])[layer]


def boxes_of_mmseg(side, window, stride):
    """(y1, y2, x1, x2) of each window, as slide_inference has them."""
    count = max(side - window + stride - 1, 0) // stride + 1
    for row in range(count):
        for column in range(count):
            y2, x2 = min(row * stride + window, side), min(column * stride + window, side)
            yield max(y2 - window, 0), y2, max(x2 - window, 0), x2


CASES = [(56, 32, 16), (64, 32, 24), (64, 48, 8), (48, 48, 48), (32, 16, 16)]


@pytest.mark.parametrize(
    ("side", "window", "stride", "layer"),
    [*((*case, PATCHES) for case in CASES), (56, 32, 16, PROJECTED_PATCHES), (64, 32, 24, VALUE_PATCHES)],
)
def test_patches_are_means_over_the_windows_they_are_in(encoder, side, window, stride, layer):
    frame = Frame((side, side), window, stride)
    pixels, tower = pixels_of(side), encoder.resized((window, window))
    found = encoded(framed(encoder, frame), pixels, layer).numpy()
    cells = side // PATCH
    windows = [
        (y1, y2, x1, x2, encoded(tower, pixels[:, :, y1:y2, x1:x2], layer).numpy())
        for y1, y2, x1, x2 in boxes_of_mmseg(side, window, stride)
    ]
    for row in range(cells):
        for column in range(cells):
            said = [
                patches[:, row - y1 // PATCH, column - x1 // PATCH]
                for y1, y2, x1, x2, patches in windows
                if y1 <= row * PATCH < y2 and x1 <= column * PATCH < x2
            ]
            np.testing.assert_allclose(found[:, row, column], np.mean(said, axis=0, dtype=np.float64), atol=1e-5)


@pytest.mark.parametrize(("side", "window", "stride"), CASES)
def test_a_linear_layer_scores_what_mmseg_averages(encoder, side, window, stride):
    """But for the outer half patch of a window inside the image."""
    weight = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))
    pixels, tower = pixels_of(side), encoder.resized((window, window))
    scores, count = torch.zeros(2, 5, side, side), torch.zeros(side, side)
    at_edge = torch.zeros(side, side, dtype=torch.bool)
    half, places = PATCH // 2, torch.arange(side)
    for y1, y2, x1, x2 in boxes_of_mmseg(side, window, stride):
        coarse = (encoded(tower, pixels[:, :, y1:y2, x1:x2]) @ weight.T).movedim(3, 1)
        scores[:, :, y1:y2, x1:x2] += interpolate(coarse, size=(window, window), mode="bilinear")
        count[y1:y2, x1:x2] += 1
        for edge in {y1, y2} - {0, side}:
            at_edge[(places >= edge - half) & (places < edge + half)] = True
        for edge in {x1, x2} - {0, side}:
            at_edge[:, (places >= edge - half) & (places < edge + half)] = True
    ours = (encoded(framed(encoder, Frame((side, side), window, stride)), pixels) @ weight.T).movedim(3, 1)
    ours = interpolate(ours, size=(side, side), mode="bilinear")
    assert (~at_edge).float().mean() > 0.15
    torch.testing.assert_close(ours[:, :, ~at_edge], (scores / count)[:, :, ~at_edge], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(32, 56), (48, 32), (40, 80)])
def test_an_oblong_frame_is_the_upper_left_of_the_square(encoder, size):
    """At once, and through windows, against a loop over them."""
    pixels = pixels_of(max(size))
    shown = pixels[:, :, : size[0], : size[1]]
    whole = framed(encoder, Frame(size))
    assert torch.equal(encoded(whole, pixels), encoded(encoder.resized(size), shown))
    assert whole.info.image_size == (max(size), max(size)) and "penultimate" in whole.info.layers
    found = encoded(framed(encoder, Frame(size, 32, 16)), pixels)
    assert found.shape[1:3] == (size[0] // PATCH, size[1] // PATCH)
    sums, count = torch.zeros_like(found), torch.zeros(found.shape[1:3])
    tops, lefts = (sorted({*range(0, side - 32 + 1, 16), side - 32}) for side in size)
    for top in tops:
        for left in lefts:
            there = slice(top // PATCH, top // PATCH + 4), slice(left // PATCH, left // PATCH + 4)
            sums[:, there[0], there[1]] += encoded(encoder, shown[:, :, top : top + 32, left : left + 32])
            count[there] += 1
    torch.testing.assert_close(found, sums / count[..., None], rtol=1e-4, atol=1e-5)
    assert Frame(size, 32, 16).details(encoder.info)["windows"]["per_image"] == len(tops) * len(lefts)


def test_the_last_window_ends_where_the_image_does():
    assert Frame((64, 64), 32, 24).starts(64, PATCH) == [0, 24, 32]
    assert Frame((64, 64), 32).starts(64, PATCH) == [0, 16, 32]  # two thirds of 32 in whole patches
    assert Frame((1024, 1024), 512).starts(1024, 16) == [0, 336, 512]
    assert Frame((64, 64), 64).starts(64, PATCH) == [0]


def test_one_window_of_the_whole_image_is_the_whole_image(encoder):
    pixels = pixels_of(48)
    assert torch.equal(
        encoded(framed(encoder, Frame((48, 48), 48)), pixels), encoded(framed(encoder, Frame((48, 48))), pixels)
    )
    assert framed(encoder, Frame((32, 32))) is encoder


def test_identity(encoder):
    """Features of other windows are others, and only grids are offered."""
    square = (64, 64)
    frames = [Frame(square), Frame(square, 32), Frame(square, 32, 8), Frame(square, 48), Frame((56, 56), 32)]
    oblong = [Frame((32, 32)), Frame((32, 64)), Frame((64, 32)), Frame((32, 64), 32), Frame((64, 32), 32)]
    every = [framed(encoder, frame).info for frame in frames + oblong]
    assert len({(info.fingerprint, info.preprocessing) for info in every}) == len(every)
    info = every[1]
    assert info.layers == {PATCHES: 16, PROJECTED_PATCHES: 8} and info.width_of(VALUE_PATCHES) == 8
    assert info.width_of("blocks") is None and info.image_size == (64, 64)


def test_the_whole_image_is_letterboxed_at_its_size(encoder):
    image = Image.new("RGB", (60, 30), (255, 255, 255))
    shown = LetterboxedEncoder(framed(encoder, Frame((64, 64), 32))).preprocess(image)
    assert shown.shape == (3, 64, 64) and shown[:, :31].min() > 1 > shown[:, 34:].max()


@pytest.mark.parametrize("frame", [Frame((64, 64)), Frame((64, 64), 32)])
def test_images_resized_by_torch_are_of_that_size_too(encoder, frame):
    noise = np.random.default_rng(0).integers(256, size=(100, 100, 3), dtype=np.uint8)
    by_torch, by_pillow = (
        framed(each, frame).preprocess(Image.fromarray(noise)) for each in (with_decoder(encoder, "torch"), encoder)
    )
    assert by_torch.shape == (3, 64, 64) and (by_torch - by_pillow).abs().max() < 0.1


def test_a_model_of_one_size_is_refused():
    with pytest.raises(IncompatibleError, match="takes images of 8 x 8 pixels only: got 64 x 64"):
        framed(TinyEncoder(), Frame((64, 64)))


def test_jpegs_decoded_on_a_gpu_are_resized_too(encoder):
    on_gpu = JpegsOnGpu(TorchCodecEncoder(encoder))
    other = on_gpu.resized((48, 48))
    assert isinstance(other, JpegsOnGpu) and other.info.image_size == (48, 48)
    assert other.info.preprocessing.startswith("JPEG files decoded by nvJPEG") and "48" in other.info.preprocessing
    windows = framed(on_gpu, Frame((64, 64), 32))
    assert windows.info.layers[PATCHES] == 16 and windows.preprocess(Image.new("RGB", (9, 9))).shape == (3, 64, 64)
