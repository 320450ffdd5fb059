import io

import numpy as np
import pytest
from PIL import Image
from webdataset.autodecode import ImageHandler

from mlcd_eval.data.images import decode
from mlcd_eval.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (24, 32, 4), dtype=np.uint8)


def save(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def images():
    rgba = Image.fromarray(NOISE, "RGBA")
    rgb = rgba.convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to show
    return {
        "rgb.jpg": save(rgb, "JPEG"),
        "rotated.jpg": save(rgb, "JPEG", exif=exif),
        "cmyk.jpeg": save(rgb.convert("CMYK"), "JPEG"),
        "alpha.png": save(rgba, "PNG"),
        "grey.png": save(rgb.convert("L"), "PNG"),
        "palette.png": save(rgb.quantize(16), "PNG", transparency=0),
        "sixteen.png": save(Image.fromarray(NOISE[..., 0].astype(np.uint16) * 257), "PNG"),
        "alpha.webp": save(rgba, "WEBP", lossless=True),
    }


@pytest.mark.parametrize("name", images())
def test_same_pixels_as_webdataset(name):
    contents = images()[name]
    oracle = ImageHandler("pil", ["webp", "png", "jpg", "jpeg"])(name, contents)
    image = decode(contents, name)
    assert image.mode == "RGB"
    assert image.size == (32, 24)
    assert image.tobytes() == oracle.tobytes()


def test_bytes_path_and_pil_agree(tmp_path):
    contents = images()["palette.png"]
    path = tmp_path / "x.png"
    path.write_bytes(contents)
    decoded = [decode(form, "x").tobytes() for form in (contents, path, Image.open(path))]
    assert decoded[0] == decoded[1] == decoded[2]


@pytest.mark.parametrize("name", ["rgb.jpg", "alpha.png", "alpha.webp"])
def test_truncated_image_is_named(name):
    contents = images()[name]
    for size in (len(contents) // 2, len(contents) * 3 // 4):
        with pytest.raises(DataError, match="image 's0001' cannot be decoded: got"):
            decode(contents[:size], "s0001")


def test_unknown_formats_are_refused(tmp_path):
    eps = save(Image.new("RGB", (4, 4)), "EPS")  # Pillow would run ghostscript
    for contents in (b"", b"not an image", eps):
        with pytest.raises(DataError, match=f"'s1' cannot be decoded: got {len(contents)} bytes of no known kind"):
            decode(contents, "s1")
    path = tmp_path / "gone.png"
    with pytest.raises(DataError, match=r"image 'k' \(.*gone.png\) cannot be decoded: the file is missing"):
        decode(path, "k")


def test_decompression_bomb(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(DataError, match="'s1' cannot be decoded: got DecompressionBombError"):
        decode(images()["rgb.jpg"], "s1")
