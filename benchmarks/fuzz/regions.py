"""Readers of boxes and masks of parts of images."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from reader import Reader, read_everything

from mlcd_eval.data import open_dataset


def _every_picture(ref: str) -> None:
    read_everything(ref)
    dataset = open_dataset(ref)
    for split in dataset.splits:
        for region in dataset.annotations(split):
            region.picture()


def region_readers(folder: Path) -> Iterator[Reader]:
    """Readers of --dataset for regions."""
    coco = folder / "coco"
    for split in ("train2017", "val2017"):
        (coco / split).mkdir(parents=True)
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(coco / split / "3.png")
        parts = [
            {"id": 7, "segmentation": [[1, 1, 5, 1, 5, 4, 1, 4]], "area": 12, "bbox": [1, 1, 4, 3]},
            {"id": 8, "segmentation": {"size": [6, 8], "counts": [40, 8]}, "area": 8, "bbox": [6, 0, 2, 6]},
        ]
        file = {
            "images": [{"id": 3, "file_name": "3.png", "width": 8, "height": 6}],
            "annotations": [{**part, "image_id": 3, "category_id": 18, "iscrowd": 0} for part in parts],
            "categories": [{"id": 18, "name": "dog"}, {"id": 44, "name": "bottle"}],
        }
        (coco / "annotations").mkdir(exist_ok=True)
        path = coco / "annotations" / f"instances_{split}.json"
        path.write_text(json.dumps(file))
    yield Reader("regions coco", path, lambda _: _every_picture(f"regions:{coco}"), names=("instances_", "coco"))

    words = folder / "mine.words.json"
    words.write_text(json.dumps({"words": ["angel", "angle"], "train": 1, "val": 1, "test": 1, "side": 128}))
    yield Reader("regions words", words, lambda path: _every_picture(f"regions:{path}"))
