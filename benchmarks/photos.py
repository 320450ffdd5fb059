"""A webdataset of JPEGs of 500 x 375, about 110 kB each, as those of ImageNet: crops of two photographs."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 500, 375
DISTINCT = 32


def jpegs(count=DISTINCT, quality=92, size=(WIDTH, HEIGHT)):
    """The files' contents. Without scikit-learn, whose photographs they show, they show smooth noise.

    size: to which they are scaled.
    """
    rng = np.random.default_rng(0)
    photos = _photographs(rng)
    files = []
    for number in range(count):
        photo = photos[number % len(photos)]
        left, top = rng.integers(0, photo.width - WIDTH + 1), rng.integers(0, photo.height - HEIGHT + 1)
        file = io.BytesIO()
        crop = photo.crop((left, top, left + WIDTH, top + HEIGHT)).resize(size, Image.Resampling.LANCZOS)
        crop.save(file, "JPEG", quality=quality, subsampling=2)
        files.append(file.getvalue())
    return files


def _photographs(rng):
    try:
        from sklearn.datasets import load_sample_images
    except ImportError:
        noise = rng.integers(0, 256, (2, 60, 80, 3), np.uint8)
        return [Image.fromarray(pixels).resize((640, 427), Image.Resampling.BICUBIC) for pixels in noise]
    return [Image.fromarray(pixels) for pixels in load_sample_images().images]


def write_dataset(folder: Path, count: int) -> None:
    """A split `test` of one shard of `count` samples of two classes."""
    (folder / "test").mkdir(parents=True, exist_ok=True)
    (folder / "classnames.txt").write_text("china\nflower\n")
    (folder / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.\n")
    (folder / "dataset_type.txt").write_text("classification\n")
    (folder / "test" / "nshards.txt").write_text("1\n")
    contents = jpegs()
    with tarfile.open(folder / "test" / "0.tar", "w") as tar:
        for number in range(count):
            label = number % 2
            for suffix, data in (("jpg", contents[number % DISTINCT]), ("cls", b"%d" % label)):
                header = tarfile.TarInfo(f"{number:07d}.{suffix}")
                header.size = len(data)
                tar.addfile(header, io.BytesIO(data))
