"""Readers of a depth and of a normal for each pixel."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from captions import picture, written
from reader import Reader, read_pixels


def nyu_mat(folder: Path) -> None:
    """Write NYUv2's own two files, of two images."""
    import h5py
    from scipy.io import savemat

    folder.mkdir()
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        file.create_dataset("images", data=np.full((2, 3, 8, 6), 9, np.uint8), compression="gzip")
        file.create_dataset("rawDepths", data=np.full((2, 8, 6), 1.5, np.float32), compression="gzip")
        names = [file.create_dataset(f"#refs#/{name}", data=np.array([[107], [49]], np.uint16)).ref for name in "ab"]
        file.create_dataset("scenes", data=np.array([names], h5py.ref_dtype))
    savemat(folder / "splits.mat", {"trainNdxs": [[1]], "testNdxs": [[2]]})


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
    nyu_mat(folder / "mat")
    for scheme, path, names in (
        ("depth", folder / "mat/nyu_depth_v2_labeled.mat", ("mat",)),
        ("depth", folder / "mat/splits.mat", ("mat",)),
        ("depth", folder / "own/depth/test/one.png", ("one",)),
        ("depth", folder / "own/depth/test/two.npy", ("two",)),
        ("depth", folder / "nyu/nyu_test.txt", ("rgb_", "nyu", "sync_depth")),
        ("normals", folder / "nyuv2/test/000000_normal.png", ("000000",)),
    ):
        root = path.relative_to(folder).parts[0]
        yield Reader(
            f"{scheme} {root} {path.name}",
            path,
            lambda _, scheme=scheme, root=root: read_pixels("values", f"{scheme}:{folder}/{root}"),
            names=names,
        )
