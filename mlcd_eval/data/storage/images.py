"""From an encoded image to RGB pixels, the way the field's harnesses do it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from mlcd_eval.data.base import EncodedImage
from mlcd_eval.errors import DataError
from mlcd_eval.support.foreign import reading

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What may be decoded: raster formats only, since Pillow hands others (EPS) to outside programs."""

Content = TypeVar("Content")

ORIENTATION = 0x0112  # EXIF's tag

LARGEST = 4 << 30
"""Bytes of an image's file: the largest that Pillow's limit of pixels lets through is smaller."""

MAX_RATIO = 1000
"""The largest ratio of the sides: models scale the shorter side to their size, and so a line of pixels to gigabytes."""


def decode(image: EncodedImage, key: str, jpeg: Callable[[bytes], Content] | None = None) -> Image.Image | Content:
    """An RGB image, converted as clip-benchmark and open_clip do: `convert("RGB")`, EXIF orientation not applied.

    jpeg: called for JPEG files instead of decoding them, once their header is checked; its result is returned.
    Raises DataError naming the sample (and file) where it is broken, truncated, of another format, above Pillow's
    decompression-bomb limit, or has one side more than MAX_RATIO times the other. docs/robustness.md lists how unusual
    images are treated.
    """
    from PIL import Image, UnidentifiedImageError

    where = f" ({image})" if isinstance(image, Path) else ""
    problem = f"image {key!r}{where} cannot be decoded"
    with reading(problem):
        try:
            if isinstance(image, Image.Image):
                return _checked(image, problem).convert("RGB")
            # not from the path: Pillow reserves what a damaged length says, of a file in memory only what is there
            contents = image if isinstance(image, bytes) else file_contents(image, problem)
            with Image.open(io.BytesIO(contents), formats=FORMATS) as opened:
                checked = _checked(opened, problem)
                if jpeg is not None and opened.format == "JPEG":
                    content = jpeg(contents)
                    if isinstance(content, Image.Image) and "exif" in opened.info:
                        content.info["exif"] = opened.info["exif"]  # as after Pillow's own decoding
                    return content
                return checked.convert("RGB")
        except FileNotFoundError as error:
            raise DataError(f"{problem}: the file is missing") from error
        except UnidentifiedImageError as error:
            size = f"{len(image)} bytes" if isinstance(image, bytes) else "a file"
            raise DataError(f"{problem}: got {size} of no known kind, expected one of {', '.join(FORMATS)}") from error


def orientation(image: EncodedImage) -> int | None:
    """The EXIF orientation of an image by its header, 1 (upright) where it says none; None where it cannot be read,
    also for lack of the memory that a damaged length asks for."""
    from PIL import Image

    try:
        with reading("the header of an image cannot be read"):
            if isinstance(image, Image.Image):
                return image.getexif().get(ORIENTATION, 1)
            with Image.open(io.BytesIO(image) if isinstance(image, bytes) else image, formats=FORMATS) as opened:
                if opened.format == "PNG" and "exif" not in opened.info:
                    opened.load()  # it may come after the pixels
                as_decoded = Image.new("RGB", (1, 1))  # JPEG's own getexif is silent about damage
                as_decoded.info = dict(opened.info)
                return as_decoded.getexif().get(ORIENTATION, 1)
    except (DataError, MemoryError):
        return None


def file_contents(path: Path, problem: str) -> bytes:
    """The contents of an image's file; raises DataError for one that is larger than any image. problem: how its
    sentence begins."""
    size = path.stat().st_size
    if size > LARGEST:
        raise DataError(f"{problem}: got a file of {size:,} bytes, expected at most {LARGEST:,}")
    return path.read_bytes()


def size_of(image: bytes | Path, key: str) -> tuple[int, int]:
    """(height, width) of an image by its header; raises DataError naming the sample."""
    from PIL import Image

    where = f" ({image})" if isinstance(image, Path) else ""
    if isinstance(image, Path) and not image.is_file():
        raise DataError(f"the image of sample {key!r} is missing: there is no file {image}")
    file = io.BytesIO(image) if isinstance(image, bytes) else image
    with reading(f"image {key!r}{where} cannot be decoded"), Image.open(file, formats=FORMATS) as opened:
        return opened.height, opened.width


def _checked(image: Image.Image, problem: str) -> Image.Image:
    width, height = image.size
    if max(width, height) > MAX_RATIO * min(width, height):
        raise DataError(f"{problem}: got {width} x {height} pixels, expected sides of at most {MAX_RATIO}:1")
    return image
