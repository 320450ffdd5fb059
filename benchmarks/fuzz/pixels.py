"""Readers of a depth and of a normal for each pixel."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from captions import picture, written
from reader import Reader, read_pixels


def pixel_readers(folder: Path) -> Iterator[Reader]:
    """Readers of --dataset for depth and normals."""
    depth, normals = np.full((6, 8), 1500, np.uint16), np.full((6, 8, 3), (128, 0, 128), np.uint8)
    for split in ("train", "test"):
        for name in ("one", "two"):
            picture(folder / "own/images" / split / f"{name}.jpg")
        picture(folder / "own/depth" / split / "one.png", "PNG", depth)
        np.save(folder / "own/depth" / split / "two.npy", np.full((6, 8), 1.5, np.float32))
        picture(folder / "nyu" / split / "rgb_00045.jpg")
        picture(folder / "nyu" / split / "sync_depth_00045.png", "PNG", depth)
        written(folder / "nyu" / f"nyu_{split}.txt", f"{split}/rgb_00045.jpg {split}/sync_depth_00045.png 518.8579\n")
        picture(folder / "nyuv2" / split / "000000_img.png", "PNG")
        picture(folder / "nyuv2" / split / "000000_normal.png", "PNG", normals)
    for scheme, path, names in (
        ("depth", folder / "own/depth/test/one.png", ("one",)),
        ("depth", folder / "own/depth/test/two.npy", ("two",)),
        ("depth", folder / "nyu/nyu_test.txt", ("rgb_", "nyu", "sync_depth")),
        ("normals", folder / "nyuv2/test/000000_normal.png", ("000000",)),
    ):
        root = path.relative_to(folder).parts[0]
        yield Reader(
            f"{scheme} {root} {path.suffix}",
            path,
            lambda _, scheme=scheme, root=root: read_pixels("values", f"{scheme}:{folder}/{root}"),
            names=names,
        )
