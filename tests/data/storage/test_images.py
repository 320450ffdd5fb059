"""Images as webdataset decodes them, and what becomes of unusual ones (docs/robustness.md)."""

import io
import os
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from open_clip.transform import image_transform
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from webdataset.autodecode import ImageHandler

from mlcd_eval.data.storage.images import LARGEST, decode, orientation
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import DataError
from mlcd_eval.features.letterbox import Letterbox

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
        with pytest.raises(DataError, match="image 's0001' cannot be decoded: "):
            decode(contents[:size], "s0001")


def test_unknown_formats_are_refused(tmp_path):
    eps = save(Image.new("RGB", (4, 4)), "EPS")  # Pillow would run ghostscript
    for contents in (b"", b"not an image", eps):
        with pytest.raises(DataError, match=f"'s1' cannot be decoded: got {len(contents)} bytes of no known kind"):
            decode(contents, "s1")
    path = tmp_path / "gone.png"
    with pytest.raises(DataError, match=r"image 'k' \(.*gone.png\) cannot be decoded: the file is missing"):
        decode(path, "k")


def chunk(kind, contents):
    return struct.pack(">I", len(contents)) + kind + contents + struct.pack(">I", zlib.crc32(kind + contents))


def png(width, height, rows=b"", *more):
    """A PNG of one bit per pixel; rows: bytes of pixels, with a zero byte before each row."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def pixels(contents):
    return np.asarray(decode(contents, "s1")).tolist()


def test_cmyk_becomes_rgb_by_pillows_formula():
    ink = Image.new("CMYK", (8, 8), (0, 255, 255, 51))  # red, less a fifth
    assert np.abs(np.array(pixels(save(ink, "JPEG"))) - (204, 0, 0)).max() <= 1
    assert pixels(save(ink, "TIFF"))[0][0] == [204, 0, 0]


def test_sixteen_bits_are_cut_at_255():
    """As Pillow converts them, and so webdataset and clip-benchmark: not scaled."""
    levels = Image.fromarray(np.array([[0, 7, 255, 256, 65535]], dtype=np.uint16))
    for kind in ("PNG", "TIFF"):
        assert [pixel[0] for pixel in pixels(save(levels, kind))[0]] == [0, 7, 255, 255, 255]


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind):
    frames = [Image.new("RGB", (2, 2), colour) for colour in ("red", "lime", "blue")]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    moving = save(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    assert Image.open(io.BytesIO(moving)).n_frames == 3
    assert pixels(moving) == [[[255, 0, 0]] * 2] * 2


@pytest.mark.filterwarnings("ignore:Palette images with Transparency")
def test_transparency_is_dropped_and_the_colour_below_shows():
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((1, 0), 1)
    for transparency in (0, bytes([0, 128])):
        assert pixels(save(palette, "PNG", transparency=transparency)) == [[[255, 0, 0], [0, 255, 0]]]
    assert pixels(save(Image.new("RGBA", (1, 1), (9, 8, 7, 0)), "PNG")) == [[[9, 8, 7]]]
    assert pixels(save(Image.new("LA", (1, 1), (9, 0)), "PNG")) == [[[9, 9, 9]]]


def test_exif_rotation_is_not_applied():
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = save(Image.new("RGB", (3, 2)), "PNG", exif=exif)
    assert Image.open(io.BytesIO(upright)).getexif()[0x0112] == 6
    assert decode(upright, "s1").size == (3, 2)


def test_one_pixel_and_its_features():
    pixel = decode(save(Image.new("RGB", (1, 1), (255, 0, 0)), "PNG"), "s1")
    assert pixel.size == (1, 1)
    for transform in TRANSFORMS.values():
        assert (transform(pixel)[0] > 0.9).all() and transform(pixel).shape == (3, 32, 32)


TRANSFORMS = {
    "ours": Preprocess(image_size=32, mean=(0, 0, 0), std=(1, 1, 1)),
    "open_clip's": image_transform(32, is_train=False, mean=(0, 0, 0), std=(1, 1, 1)),
    "letterbox": Letterbox(Preprocess(image_size=32, mean=(0, 0, 0), std=(1, 1, 1))),
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("size", [(20_000, 20), (20, 20_000)])
def test_twenty_thousand_pixels_wide_or_high(name, size):
    image = decode(save(Image.new("1", size, 1), "PNG"), "s1")
    assert image.size == size
    tensor = TRANSFORMS[name](image)
    assert tensor.shape == (3, 32, 32) and tensor.isfinite().all() and tensor.max() > 0.4


@pytest.mark.parametrize("size", [(20_000, 1), (19, 20_000), (1_000_000, 1)])
def test_a_line_of_pixels_is_refused(size):
    """Scaled to 224 on its shorter side the first would take 3 GB."""
    for image in (save(Image.new("1", size), "PNG"), Image.new("1", size)):
        with pytest.raises(
            DataError, match=f"'s1' cannot be decoded: got {size[0]} x {size[1]} pixels, expected sides"
        ):
            decode(image, "s1")


def test_bombs_are_refused_from_their_header():
    """Pillow warns above 89 million pixels and refuses twice as many; a few bytes here say 10^10."""
    with pytest.raises(DataError, match="'s1' cannot be decoded: Image size"):
        decode(png(100_000, 100_000), "s1")
    text = zlib.compress(bytes(1 << 24))
    with pytest.raises(DataError, match="Decompressed data too large"):
        decode(png(8, 1, b"\0\0", (b"zTXt", b"note\0\0" + text)), "s1")


def test_between_warning_and_refusal_an_image_is_read(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    with pytest.warns(Image.DecompressionBombWarning, match="64 pixels"):
        assert decode(png(8, 8, b"\0\xff" * 8), "s1").getpixel((7, 7)) == (255, 255, 255)


def test_a_damaged_length_reserves_no_memory(tmp_path):
    """A chunk of pixels that says it has 4 GB: of a path, Pillow reads as many bytes at once as the length says."""
    whole = png(8, 8, b"\0\xff" * 8)
    at = whole.index(b"IDAT") - 4
    path = tmp_path / "long.png"
    path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
    tracemalloc.start()
    try:
        assert decode(path, "s1").getpixel((7, 7)) == (255, 255, 255)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()


def test_without_memory_for_the_pixels_the_orientation_is_unknown(monkeypatch):
    def load(image):
        raise MemoryError

    monkeypatch.setattr(PngImageFile, "load", load)
    assert orientation(png(8, 8, b"\0\xff" * 8)) is None


def test_a_file_larger_than_any_image_is_refused(tmp_path):
    path = tmp_path / "film.png"
    path.write_bytes(b"")
    os.truncate(path, LARGEST + 1)
    with pytest.raises(DataError, match=r"film\.png\) cannot be decoded: got a file of 4,294,967,297 bytes, expected"):
        decode(path, "s1")
