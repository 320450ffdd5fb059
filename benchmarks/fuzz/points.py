"""Readers of points that two images share, and of clips."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from reader import DEMO, Reader, read_everything

SPAIR = {
    "src_imname": "2007_000175.jpg",
    "trg_imname": "2008_006325.jpg",
    "src_imsize": [8, 6, 3],
    "trg_imsize": [8, 6, 3],
    "trg_bndbox": [1, 1, 7, 5],
    "category": "cat",
    "src_kps": [[0, 0], [7, 5]],
    "trg_kps": [[3, 2], [1, 1]],
}

NAVI = {
    "object_id": "ball",
    "camera": {"q": [1.0, 0.0, 0.0, 0.0], "t": [0.0, 0.0, 300.0], "focal_length": 40.0, "camera_model": "pixel_5"},
    "image_size": [24, 32],
    "scene_name": "wild_set",
    "split": "train",
    "occluded": False,
}


def _picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def point_readers(folder: Path) -> Iterator[Reader]:
    """Readers of --dataset for correspondence and tracking."""
    black, mask = np.zeros((6, 8, 3), np.uint8), np.full((6, 8), 2, np.uint8)
    spair = folder / "SPair-71k"
    for name in ("2007_000175", "2008_006325"):
        _picture(spair / "JPEGImages/cat" / f"{name}.jpg", black)
    path = spair / "PairAnnotation/test/000001-2007_000175-2008_006325:cat.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(SPAIR))
    yield Reader("keypoints spair", path, lambda _: read_everything(f"keypoints:{spair}"))

    navi = folder / "navi"
    scene = navi / "ball/wild_set"
    depth = np.zeros((24, 32), np.uint16)
    depth[4:20, 6:26] = 2000
    for name in ("000", "001"):
        _picture(scene / "images" / f"{name}.jpg", np.zeros((24, 32, 3), np.uint8))
        _picture(scene / "depth" / f"{name}.png", depth)
    (scene / "annotations.json").write_text(
        json.dumps([{**NAVI, "filename": f"{name}.jpg"} for name in ("000", "001")])
    )
    lists = navi / "custom_splits/pairwise_pixel_correspondences/pairs-wild_set.txt"
    lists.parent.mkdir(parents=True)
    lists.write_text("ball/wild_set/images/000.jpg ball/wild_set/images/001.jpg 10.5\n")
    for path in (lists, scene / "annotations.json", scene / "depth/000.png"):
        read = partial(_read, f"keypoints:{navi}")
        yield Reader(f"keypoints navi {path.suffix}", path, read, names=("ball", "wild_set", "navi"))

    davis = folder / "DAVIS"
    for number in range(3):
        _picture(davis / "JPEGImages/480p/bear" / f"{number:05}.jpg", black)
        _picture(davis / "Annotations/480p/bear" / f"{number:05}.png", mask)
    (davis / "ImageSets/2017").mkdir(parents=True)
    (davis / "ImageSets/2017/val.txt").write_text("bear\n")
    for path in (davis / "ImageSets/2017/val.txt", davis / "Annotations/480p/bear/00000.png"):
        yield Reader(f"video {path.suffix}", path, lambda _: read_everything(f"video:{davis}"), names=("bear", "clip"))

    index = json.loads((DEMO / "densedemo/scenes.json").read_text())
    for kind, split in (("keypoints", "val"), ("video", "clips")):
        scenes = folder / kind
        scenes.mkdir()
        scene = next(each for each in index["scenes"] if each["split"] == split)
        (scenes / "scenes.json").write_text(json.dumps({**index, "scenes": [scene]}))
        with tarfile.open(DEMO / "densedemo" / f"{split}.tar") as every:
            every.extractall(scenes, [each for each in every if each.name.startswith(scene["name"])], filter="data")
        with tarfile.open(scenes / f"{split}.tar", "w") as tar:
            tar.add(scenes / scene["name"], scene["name"])
        shutil.rmtree(scenes / scene["name"])
        for name in ("scenes.json", f"{split}.tar"):
            read = partial(_read, f"{kind}:{scenes}")
            yield Reader(f"{kind} {name}", scenes / name, read, slow=True, names=(scene["name"], kind))


def _read(ref: str, _: Path) -> None:
    read_everything(ref)
