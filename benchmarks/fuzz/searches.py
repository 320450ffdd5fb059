"""Readers of instance retrieval's layouts, and of the trainer's own labels and regions."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from reader import DEMO, Reader, read_everything

from mlcd_train.label_file import read_label_file
from mlcd_train.region_file import RegionFile

LANDMARKS = ("0a1b2c3d4e5f6071", "0b1b2c3d4e5f6071", "ff1b2c3d4e5f6071")
BIRDS = tuple(f"00{number}.Bird_{number}/{view}.jpg" for number in range(1, 5) for view in "ab")


def _write(folder: Path, files: dict[str, str], images: tuple[str, ...]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for number, name in enumerate(images):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6), (40 * number % 256, 0, 0)).save(folder / name, "JPEG")


def search_readers(folder: Path) -> Iterator[Reader]:
    """Readers of --dataset for instance retrieval."""
    truth = {
        "imlist": ["all_souls_000013", "all_souls_000026", "oxford_002985"],
        "qimlist": ["all_souls_000006"],
        "gnd": [{"bbx": [1.2, 0.6, 6.0, 5.4], "easy": [1], "hard": [0], "junk": [2]}],
    }
    oxford = folder / "roxford5k"
    names = tuple(f"jpg/{name}.jpg" for name in (*truth["imlist"], *truth["qimlist"]))
    _write(oxford, {"gnd_roxford5k.json": json.dumps(truth)}, names)
    (oxford / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(truth, protocol=2))
    for suffix, form in (("json", "json"), ("pkl", "p")):
        path = oxford / f"gnd_roxford5k.{suffix}"
        yield Reader(f"revisitop {suffix}", path, lambda path: read_everything(f"revisitop:{path}"), form)

    first, second, query = LANDMARKS
    lists = {
        "retrieval_solution_v2.1.csv": f"id,images,Usage\n{query},{first} {second},Private\n",
        "index_image_to_landmark.csv": f"id,landmark_id\n{first},1\n{second},1\n",
    }
    places = tuple(
        f"{'test' if name == query else 'index'}/{name[0]}/{name[1]}/{name[2]}/{name}.jpg" for name in LANDMARKS
    )
    _write(folder / "gldv2", lists, places)
    for name in lists:
        yield Reader(f"gldv2 {name[:9]}", folder / "gldv2" / name, lambda path: read_everything(f"gldv2:{path.parent}"))

    lists = {
        "MET_database.json": json.dumps([{"id": 7, "path": f"MET/7/{number}.jpg"} for number in (0, 1)]),
        "testset.json": json.dumps([{"MET_id": 7, "path": "test_met/a.jpg"}, {"path": "test_other/b.jpg"}]),
    }
    images = ("MET/7/0.jpg", "MET/7/1.jpg", "test_met/a.jpg", "test_other/b.jpg")
    _write(folder / "met", lists, tuple(f"images/{name}" for name in images))
    for name in lists:
        yield Reader(f"met {name}", folder / "met" / name, lambda path: read_everything(f"met:{path.parent}"))

    images = tuple(f"img/WOMEN/Tees/id_{item:08d}/{view}.jpg" for item in (2, 7) for view in (1, 2, 3))
    splits = ["train", "query", "gallery"] * 2
    rows = [f"{name} {name.split('/')[3]} {split}\n" for name, split in zip(images, splits, strict=True)]
    lists = {"list_eval_partition.txt": "6\nimage_name item_id evaluation_status\n" + "".join(rows)}
    _write(folder / "inshop", lists, images)
    path = folder / "inshop" / "list_eval_partition.txt"
    yield Reader("inshop list", path, lambda path: read_everything(f"inshop:{path.parent}"))

    lists = {
        "images.txt": "".join(f"{number} {name}\n" for number, name in enumerate(BIRDS, 1)),
        "image_class_labels.txt": "".join(f"{number} {name[2]}\n" for number, name in enumerate(BIRDS, 1)),
    }
    _write(folder / "cub", lists, tuple(f"images/{name}" for name in BIRDS))
    for name in lists:
        yield Reader(f"cub {name}", folder / "cub" / name, lambda path: read_everything(f"cub:{path.parent}"))

    plan = json.loads((DEMO / "clipart_views.views.json").read_text())
    (folder / "views").mkdir()
    (folder / "views" / plan["of"]).symlink_to(DEMO / plan["of"])
    small = {**plan, "pictures": plan["pictures"][:2], "views": 2, "side": 16}
    (folder / "views" / "few.views.json").write_text(json.dumps(small))
    yield Reader("views", folder / "views" / "few.views.json", lambda path: read_everything(f"views:{path}"))
    (folder / "views" / "densedemo").symlink_to(DEMO / "densedemo")
    plan = {"of": "densedemo", "split": "val", "least_pixels": 2000, "side": 16}
    (folder / "views" / "few.scene_views.json").write_text(json.dumps(plan))
    path = folder / "views" / "few.scene_views.json"
    yield Reader("scene-views", path, lambda path: read_everything(f"scene-views:{path}"))


def label_readers(folder: Path) -> Iterator[Reader]:
    """Readers of assign.labels and fit.objective.regions."""
    rows = [("a", "cat;sky"), ("b", "dog"), ("c", "")]
    for suffix, mark in (("csv", ","), ("tsv", "\t")):
        path = folder / f"own.{suffix}"
        path.write_text("\n".join(mark.join(row) for row in [("key", "labels"), *rows]) + "\n")
        yield Reader(f"own labels {suffix}", path, read_label_file)
    lines = [{"key": key, "labels": labels.split(";")} for key, labels in rows]
    (folder / "own.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    pq.write_table(pa.table({"key": ["a", "b"], "labels": [["cat", "sky"], ["dog"]]}), folder / "own.parquet")
    for suffix in ("jsonl", "parquet"):
        yield Reader(f"own labels {suffix}", folder / f"own.{suffix}", read_label_file)
    regions = [
        {"key": "a", "size": [40, 30], "regions": [{"box": [0, 0, 10, 10], "label": "cat"}]},
        {"key": "b", "size": [40, 30], "regions": [{"box": [5, 5, 20, 10], "label": "dog"}]},
        {"key": "c", "size": [40, 30], "regions": [{"box": [0, 0, 40, 30], "text": "NO EXIT"}]},
    ]
    (folder / "regions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in regions))
    yield Reader("regions", folder / "regions.jsonl", RegionFile)
