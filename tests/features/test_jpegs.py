"""--decoder torchcodec: Pillow's pixels of JPEG files, the same complaints, and a batch at a time on a device."""

import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from tiny_encoder import TinyEncoder

from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.features.decoders import TORCHCODEC, JpegsOnGpu, TorchCodecEncoder, check_decoder, with_decoder
from mlcd_eval.features.letterbox import LetterboxedEncoder

pytest.importorskip("torchcodec", reason="the extra torchcodec")
from mlcd_eval.features.jpegs import OnDevice, decode_jpeg_on_cpu

PHOTO = Image.fromarray(load_sample_images().images[0]).resize((251, 187))


def file(image=PHOTO, kind="JPEG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


KINDS = {
    "4:2:0": file(),
    "4:4:4, progressive": file(subsampling=0, progressive=True),
    "grey": file(PHOTO.convert("L")),
    "CMYK": file(PHOTO.convert("CMYK")),
    "one pixel": file(PHOTO.resize((1, 1))),
}


def encoder():
    made = TinyEncoder()
    made.preprocess = Preprocess(image_size=64)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_the_pixels_are_those_of_pillow(kind):
    expected = np.array(decode(KINDS[kind], "a"))
    assert np.array_equal(np.array(decode(KINDS[kind], "a", decode_jpeg_on_cpu)), expected)


@pytest.mark.parametrize("length", [100, 3000, -2])
def test_a_truncated_file_is_named_as_by_pillow(length):
    for jpeg in (None, decode_jpeg_on_cpu):
        with pytest.raises(DataError, match="image 'a' cannot be decoded"):
            decode(file()[:length], "a", jpeg)


def test_headers_are_still_checked_first():
    line = file(Image.new("RGB", (3000, 2)))
    with pytest.raises(DataError, match="3000 x 2 pixels, expected sides of at most 1000:1"):
        decode(line, "a", decode_jpeg_on_cpu)


def test_a_path_and_another_format(tmp_path):
    (tmp_path / "a.jpg").write_bytes(file())
    assert np.array_equal(decode(tmp_path / "a.jpg", "a", decode_jpeg_on_cpu), decode(file(), "a"))
    assert np.array_equal(decode(file(kind="PNG"), "a", decode_jpeg_on_cpu), PHOTO)


def test_an_encoder_decodes_by_it_under_its_own_identity():
    made = with_decoder(encoder(), "torchcodec")
    assert made.jpeg is decode_jpeg_on_cpu and LetterboxedEncoder(made).jpeg is decode_jpeg_on_cpu
    assert made.info.preprocessing.startswith(f"{TORCHCODEC}; ")
    assert made.info.preprocessing != with_decoder(encoder(), "torch").info.preprocessing


def test_batches_on_a_device_are_what_workers_make():
    """Here on the CPU, where both ways use the same arithmetic."""
    made = TorchCodecEncoder(encoder())
    images = [*KINDS.values(), file(kind="PNG"), PHOTO]
    items = [(f"image {number}", image) for number, image in enumerate(images)]
    items[2:2] = [("cut", file()[:3000]), ("none", b"")]
    on_device = OnDevice(torch.device("cpu"), made.steps.resize)
    first, second = on_device([("a", items), ("b", items[:1])])
    assert (first.tag, second.tag) == ("a", "b") and first.rows.dtype == torch.uint8
    expected = [made.steps.resized(decode(image, "a")) for image in images]
    assert np.array_equal(first.rows, np.stack(expected)) and torch.equal(second.rows, first.rows[:1])
    assert sorted(first.bad) == [2, 3] and first.bad[2].startswith("image 'cut' cannot be decoded: got RuntimeError")


def test_a_batch_without_a_good_image_has_no_row():
    (loaded,) = OnDevice(torch.device("cpu"), lambda pixels: pixels)([("a", [("none", b"")])])
    assert len(loaded.rows) == 0 and list(loaded.bad) == [0]


def test_reading_goes_only_one_batch_ahead():
    read = []

    def stream():
        for number in range(4):
            read.append(number)
            yield number, [("a", file())]

    batches = OnDevice(torch.device("cpu"), lambda pixels: pixels)(stream())
    next(batches)
    batches.close()
    assert read in ([0], [0, 1])


def test_whole_images_are_decoded_on_the_cpu():
    """A letterbox is laid by Pillow."""
    made = JpegsOnGpu(TorchCodecEncoder(encoder()))
    whole = LetterboxedEncoder(made)
    assert "nvJPEG" in made.info.preprocessing and "nvJPEG" not in whole.info.preprocessing
    assert torch.equal(whole.preprocess(PHOTO), LetterboxedEncoder(made.on_cpu).preprocess(PHOTO))


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(ConfigError, match=r"needs TorchCodec 0.16 or later, pip install 'mlcd-eval\[torchcodec\]'"):
        check_decoder("torchcodec")
    check_decoder("torch")


@pytest.mark.gpu
def test_nvjpeg_decodes_a_batch_and_names_the_damaged_files():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    made = TorchCodecEncoder(encoder())
    files = [file(), file()[:3000], file(PHOTO.convert("L")), b"", file(kind="PNG")]
    items = [(str(number), image) for number, image in enumerate(files)]
    (loaded,) = OnDevice(torch.device("cuda"), made.steps.resize)([("a", items)])
    expected = np.stack([made.steps.resized(decode(files[number], "a")) for number in (0, 2, 4)])
    assert sorted(loaded.bad) == [1, 3]
    assert np.abs(loaded.rows.cpu().numpy().astype(int) - expected).mean() < 2
