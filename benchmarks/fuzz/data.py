"""Readers of --dataset and --data-root, and of predictions."""

import io
import json
import pickle
import shutil
import struct
import tarfile
from collections.abc import Iterator
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from pycocotools.mask import decode as decode_mask
from reader import DEMO, Reader, read_everything

from mlcd_eval.data import open_dataset
from mlcd_eval.data.annotations import Expression
from mlcd_eval.data.predictions import read_answers, read_masks
from mlcd_eval.data.storage.images import decode
from mlcd_eval.metrics.segmentation import overlaps

IMAGE_KINDS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000")


def small_wds(folder: Path, source: Path, count: int) -> None:
    """Write the first samples of a bundled data set, for speed."""
    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        (folder / split / "nshards.txt").write_text("1")
        with tarfile.open(source / split / "0.tar") as whole, tarfile.open(folder / split / "0.tar", "w") as part:
            for member in whole.getmembers()[:count]:
                part.addfile(member, whole.extractfile(member))
    for path in source.glob("*.txt"):
        shutil.copy(path, folder)


def several_labels(folder: Path) -> None:
    """Write a multilabel data set of two images."""
    (folder / "test").mkdir(parents=True)
    (folder / "dataset_type.txt").write_text("multilabel")
    (folder / "test" / "nshards.txt").write_text("1")
    image, labels = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (4, 4)).save(image, "PNG")
    np.save(labels, np.array([0, 1, 1]))
    with tarfile.open(folder / "test" / "0.tar", "w") as archive:
        for name, file in (("a.png", image), ("a.npy", labels), ("b.png", image), ("b.npy", labels)):
            info = tarfile.TarInfo(name)
            info.size = len(file.getvalue())
            archive.addfile(info, io.BytesIO(file.getvalue()))


def data_readers(folder: Path) -> Iterator[Reader]:
    """Readers of --dataset and --data-root."""
    small_wds(folder / "wds", DEMO / "wds_demo_clipart", 4)
    small_wds(folder / "captions", DEMO / "wds_demo_captions", 4)
    several_labels(folder / "labels")
    for name, data, file in (
        ("webdataset tar", "wds", "test/0.tar"),
        ("webdataset captions", "captions", "test/0.tar"),
        ("webdataset npy labels", "labels", "test/0.tar"),
        ("nshards.txt", "wds", "train/nshards.txt"),
        ("classnames.txt", "wds", "classnames.txt"),
        ("templates", "wds", "zeroshot_classification_templates.txt"),
        ("dataset_type.txt", "labels", "dataset_type.txt"),
    ):
        yield Reader(
            name, folder / data / file, lambda path, data=data: read_everything(f"wds:{folder}/{data}"), names=(data,)
        )

    picture = next(iter(open_dataset(f"wds:{folder}/wds").split("test").shards[0].samples()))
    for kind in IMAGE_KINDS:
        decode(picture.image, picture.key).save(folder / kind, kind)
        form = "png" if kind == "PNG" else "bytes"
        yield Reader(
            f"image {kind}", folder / kind, lambda path: decode(path.read_bytes(), "image"), form, names=("image",)
        )

    rows = {"image": [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")], "label": [0, 1]}
    columns = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    hf_dataset = datasets.Dataset.from_dict(rows, features=datasets.Features(columns))
    (folder / "parquet").mkdir()
    hf_dataset.to_parquet(folder / "parquet" / "test.parquet")
    hf_dataset.save_to_disk(folder / "arrow")
    datasets.config.HF_DATASETS_CACHE = folder / "hf_cache"
    yield Reader("hf parquet", folder / "parquet" / "test.parquet", lambda path: read_everything(f"hf:{path.parent}"))
    for path in sorted((folder / "arrow").iterdir()):
        yield Reader(f"hf arrow {path.name[-18:]}", path, lambda path: read_everything(f"hf:{path.parent}"))

    raw = folder / "mnist" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for split in ("train", "t10k"):
        (raw / f"{split}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 0x803, 3, 28, 28) + bytes(3 * 28 * 28))
        (raw / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 0x801, 3) + bytes([0, 1, 2]))
    for path in sorted(raw.iterdir())[:2]:
        yield Reader(
            f"torchvision {path.name[5:11]}",
            path,
            lambda path: read_everything(f"torchvision:MNIST?root={folder}/mnist"),
            names=("MNIST",),
        )


def overlaps_of(path: Path, expressions: list[Expression]) -> None:
    """Read masks and compare each with itself and with the truth, all of it in pycocotools' C code."""
    masks = read_masks(path, expressions)
    for expression in expressions:
        mask = masks[expression.sent_id]
        overlaps([mask], [mask])
        decode_mask(mask)


def table_readers(folder: Path) -> Iterator[Reader]:
    """Readers of data sets that are one file or a plain folder: csv, parquet, coco, tars, imagefolder, files."""
    pictures = [io.BytesIO() for _ in range(6)]
    for number, file in enumerate(pictures):
        Image.new("RGB", (5, 4), (40 * number, 0, 0)).save(file, "PNG")
    names = [f"{number}.png" for number in range(6)]
    for name, file in zip(names, pictures, strict=True):
        (folder / name).write_bytes(file.getvalue())

    for suffix, mark in (("csv", ","), ("tsv", "\t")):
        path = folder / f"light.{suffix}"
        rows = [f"{name}{mark}{('cat', 'dog')[n % 2]}{mark}{('train', 'test')[n // 3]}" for n, name in enumerate(names)]
        path.write_text("\n".join([mark.join(("path", "label", "split")), *rows]) + "\n")
        yield Reader(f"table {suffix}", path, lambda path: read_everything(f"csv:{path}"))
    (folder / "captions.csv").write_text(
        "path,caption\n" + "".join(f'{name},"a ""red"" one, {name}"\n' for name in names)
    )
    yield Reader("table captions", folder / "captions.csv", lambda path: read_everything(f"csv:{path}?caption=caption"))
    (folder / "latin.csv").write_bytes("path,label\n0.png,caf\xe9\n1.png,th\xe9\n".encode("latin-1"))
    yield Reader("table latin-1", folder / "latin.csv", lambda path: read_everything(f"csv:{path}?encoding=latin-1"))

    for name, columns in (
        ("paths", {"path": names, "label": ["cat", "dog"] * 3}),
        ("bytes", {"image": [file.getvalue() for file in pictures], "label": [0, 1] * 3}),
    ):
        path = folder / f"{name}.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=2)
        yield Reader(f"table parquet {name}", path, lambda path: read_everything(f"parquet:{path}"))
    (folder / "types.parquet").write_bytes((folder / "paths.parquet").read_bytes())
    yield Reader(
        "table parquet types", folder / "types.parquet", lambda path: read_everything(f"parquet:{path}"), "parquet"
    )

    coco = {
        "images": [{"id": n, "file_name": name, "width": 5, "height": 4} for n, name in enumerate(names)],
        "annotations": [{"id": n, "image_id": n, "caption": f"caption {n}"} for n in range(6)],
    }
    (folder / "captions_val2017.json").write_text(json.dumps(coco))
    yield Reader("coco captions", folder / "captions_val2017.json", lambda path: read_everything(f"coco:{path}"))

    (folder / "crawl").mkdir()
    with tarfile.open(folder / "crawl" / "00000.tar", "w") as archive:
        for number, file in enumerate(pictures):
            about = json.dumps({"caption": f"a caption {number}", "url": "http://x/y"}).encode()
            for suffix, contents in (("png", file.getvalue()), ("txt", b"a caption"), ("json", about)):
                info = tarfile.TarInfo(f"{number:05d}.{suffix}")
                info.size = len(contents)
                archive.addfile(info, io.BytesIO(contents))
    for captions in ("txt", "json"):
        yield Reader(
            f"tars with {captions}",
            folder / "crawl" / "00000.tar",
            lambda path, captions=captions: read_everything(f"tars:{path}?captions={captions}"),
        )

    for split in ("train", "test"):
        for label in ("cat", "dog"):
            (folder / "photos" / split / label).mkdir(parents=True)
            (folder / "photos" / split / label / "1.png").write_bytes(pictures[0].getvalue())
    picture = folder / "photos" / "test" / "cat" / "1.png"
    yield Reader("imagefolder png", picture, lambda _: read_everything(f"imagefolder:{folder}/photos"))
    yield Reader("files png", picture, lambda _: read_everything(f"files:{folder}/photos"))


def few_refs(folder: Path) -> None:
    """Leave eight refs of RefCOCO's layout, with their images and masks, for speed."""
    path = folder / "refs(unc).p"
    refs = [ref for ref in pickle.loads(path.read_bytes()) if ref["split"] == "val"][:8]
    path.write_bytes(pickle.dumps(refs, protocol=2))
    instances = json.loads((folder / "instances.json").read_text())
    images, masks = {ref["image_id"] for ref in refs}, {ref["ann_id"] for ref in refs}
    instances["images"] = [image for image in instances["images"] if image["id"] in images]
    instances["annotations"] = [mask for mask in instances["annotations"] if mask["id"] in masks]
    (folder / "instances.json").write_text(json.dumps(instances))


def annotation_readers(folder: Path) -> Iterator[Reader]:
    """Readers of RefCOCO's and DocVQA's files, and of predictions for them."""
    shutil.copytree(DEMO / "refer" / "refdemo", folder / "refer" / "refdemo")
    (folder / "refer" / "images").symlink_to(DEMO / "refer" / "images")
    shutil.copytree(DEMO / "docdemo", folder / "docdemo")
    few_refs(folder / "refer" / "refdemo")
    refer = open_dataset(f"refer:{folder}/refer/refdemo/unc/val").annotations("val")
    questions = open_dataset(f"docvqa:{DEMO}/docdemo/val_v1.0_withQT.json").annotations("val")
    masks = "".join(json.dumps({"sent_id": e.sent_id, "segmentation": e.truth}) + "\n" for e in refer)
    (folder / "masks.jsonl").write_text(masks)
    (folder / "answers.json").write_text(json.dumps([{"questionId": q.question_id, "answer": "x"} for q in questions]))
    yield Reader(
        "refs(unc).p", folder / "refer/refdemo/refs(unc).p", lambda _: open_dataset(f"refer:{folder}/refer/refdemo/unc")
    )
    yield Reader(
        "instances.json",
        folder / "refer/refdemo/instances.json",
        lambda _: list(open_dataset(f"refer:{folder}/refer/refdemo/unc/val").annotations("val")),
    )
    yield Reader(
        "DocVQA json",
        folder / "docdemo/val_v1.0_withQT.json",
        lambda path: open_dataset(f"docvqa:{path}").split("val").scan(),
    )
    lines = (DEMO / "pairdemo.jsonl").read_text().splitlines(keepends=True)[:8]
    (folder / "pairs.jsonl").write_text("".join(lines))
    yield Reader("pairs jsonl", folder / "pairs.jsonl", lambda path: open_dataset(f"pairs:{path}").split("test").scan())
    yield Reader("masks jsonl", folder / "masks.jsonl", lambda path: read_masks(path, refer))
    shutil.copy(folder / "masks.jsonl", folder / "shapes.jsonl")
    yield Reader("masks' codes", folder / "shapes.jsonl", lambda path: overlaps_of(path, refer), "masks")
    yield Reader("answers json", folder / "answers.json", lambda path: read_answers(path, questions))
