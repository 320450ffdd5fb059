"""Readers of captions in several languages, of long captions, of associations, and of a class for each pixel."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from reader import Reader, read_everything, read_pixels

VAL, TRAIN = "COCO_val2014_000000000042", "COCO_train2014_000000000007"


def picture(path: Path, form: str = "JPEG", values: np.ndarray | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((6, 8, 3), np.uint8) if values is None else values).save(path, form)


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def caption_readers(folder: Path) -> Iterator[Reader]:
    """Readers of --dataset for retrieval, compositionality and association."""
    for key in ("a1", "b2"):
        picture(folder / "xm3600/images" / f"{key}.jpg")
    rows = [{"image/key": "a1", "de": {"caption": ["Hund"]}}, {"image/key": "b2", "de": {"caption": ["Katze"]}}]
    path = written(folder / "xm3600/captions.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    yield Reader("xm3600", path, lambda path: read_everything(f"xm3600:{path.parent}"))

    picture(folder / "xtd/images/val2014" / f"{VAL}.jpg")
    picture(folder / "xtd/images/train2014" / f"{TRAIN}.jpg")
    lines = written(folder / "xtd/MIC/test_1kcaptions_de.txt", "eins\nzwei\n")
    names = written(folder / "xtd/XTD10/test_image_names.txt", f"{VAL}.jpg\n{TRAIN}.jpg\n")
    for path in (lines, names):
        yield Reader(f"xtd {path.stem[-5:]}", path, lambda _: read_everything(f"xtd:{folder}/xtd"), names=("xtd",))

    for key in (9, 10):
        picture(folder / "urban1k/image" / f"{key}.jpg")
        path = written(folder / "urban1k/caption" / f"{key}.txt", "a long caption\nmore")
    yield Reader("urban1k", path, lambda _: read_everything(f"urban1k:{folder}/urban1k"), names=("caption of 10",))

    picture(folder / "sharegpt4v/coco/1.jpg")
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "A cat.\nIt sleeps."}]
    item = {"id": "1", "image": "coco/1.jpg", "conversations": turns}
    path = written(folder / "sharegpt4v/conversations.json", json.dumps([item]))
    yield Reader("sharegpt4v", path, lambda path: read_everything(f"sharegpt4v:{path}"))

    picture(folder / "dci/photos/sa_1.jpg")
    item = {"image": "sa_1.jpg", "short_caption": "A lake.", "extra_caption": "Trees.", "mask_data": {}}
    path = written(folder / "dci/complete/sa_1.json", json.dumps(item))
    yield Reader("dci", path, lambda _: read_everything(f"dci:{folder}/dci"), names=("dci/photos",))

    picture(folder / "sugarcrepe/images/1.jpg")
    pair = {"filename": "1.jpg", "caption": "a dog", "negative_caption": "a cat"}
    path = written(folder / "sugarcrepe/swap_obj.json", json.dumps({"7": pair}))
    yield Reader("sugarcrepe", path, lambda path: read_everything(f"sugarcrepe:{path.parent}"))

    picture(folder / "vl_checklist/vg/VG_100K/1.jpg")
    path = folder / "vl_checklist/data/Attribute/vg/color.json"
    written(path, json.dumps([["VG_100K/1.jpg", {"POS": ["a red dog"], "NEG": ["a blue dog"]}]]))
    yield Reader(
        "vl-checklist", path, lambda _: read_everything(f"vl-checklist:{folder}/vl_checklist"), names=("vl_checklist",)
    )

    board = ["eagle", "teepee", "factory", "metal", "ash tree"]
    for name in board:
        picture(folder / "winogavil/images" / f"{name}.jpg")
    quoted = ['"' + json.dumps(names).replace('"', '""') + '"' for names in (board, ["eagle", "ash tree"])]
    table = f"candidates,cue,associations,ID\n{quoted[0]},bald,{quoted[1]},0\n{quoted[0]},plush,{quoted[1]},7\n"
    path = written(folder / "winogavil/winogavil_dataset.csv", table)
    yield Reader("winogavil", path, lambda path: read_everything(f"winogavil:{path}"))


def segmentation_readers(folder: Path) -> Iterator[Reader]:
    """Readers of --dataset for segmentation."""
    values = np.full((6, 8), 20, np.uint8)
    for split, name in (("train", "2007_000032"), ("val", "2007_000033")):
        picture(folder / "VOC2012/JPEGImages" / f"{name}.jpg")
        picture(folder / "VOC2012/SegmentationClass" / f"{name}.png", "PNG", values)
        written(folder / "VOC2012/ImageSets/Segmentation" / f"{split}.txt", f"{name}\n")
    for path in (
        folder / "VOC2012/SegmentationClass/2007_000033.png",
        folder / "VOC2012/ImageSets/Segmentation/val.txt",
    ):
        yield Reader(
            f"seg {path.suffix}",
            path,
            lambda _: read_pixels("pixels", f"seg:{folder}/VOC2012"),
            names=("2007_", "VOC2012"),
        )

    scenes = folder / "densedemo"
    scenes.mkdir()
    rows = []
    for split in ("train", "val", "test"):
        with tarfile.open(scenes / f"{split}.tar", "w") as archive:
            for view in range(2):
                for ending, form, pixels in (
                    ("webp", "WEBP", np.zeros((6, 8, 3), np.uint8)),
                    ("instances.png", "PNG", np.full((6, 8), 1, np.uint8)),
                ):
                    file = io.BytesIO()
                    Image.fromarray(pixels).save(file, form)
                    member = tarfile.TarInfo(f"{split}1/{view}.{ending}")
                    member.size = len(file.getvalue())
                    archive.addfile(member, io.BytesIO(file.getvalue()))
        things = [{"class": 3, "object": "3/0", "texture": 0}]
        rows.append({"name": f"{split}1", "split": split, "things": things, "cameras": [np.eye(4).tolist()] * 2})
    classes = ["background", *(f"c{number}" for number in range(1, 21))]
    index = {"classes": classes, "fov": 35.0, "depth_scale": 65535.0, "scenes": rows}
    written(scenes / "scenes.json", json.dumps(index))
    for path in (scenes / "scenes.json", scenes / "val.tar"):
        yield Reader(
            f"seg {path.name}", path, lambda _: read_pixels("pixels", f"seg:{scenes}"), names=("val1/", "densedemo")
        )
