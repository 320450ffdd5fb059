"""Every reader of files that others may have written, each with a small valid file."""

import contextlib
import io
import json
import os
import shutil
import struct
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}

import datasets
import numpy as np
import open_clip
import openpyxl
import timm
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

import mlcd_eval
from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import AnnotatedDataset, ShardScan
from mlcd_eval.data.predictions import read_answers, read_masks
from mlcd_eval.data.scans import kept_scan
from mlcd_eval.data.storage.images import decode
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.features.predict import predict
from mlcd_eval.features.store import Entry, FeatureKey, Part
from mlcd_eval.imports import import_results
from mlcd_eval.records import read
from mlcd_eval.spec import TaskIndex, read_spec
from mlcd_eval.support.bundled import demo_data_dir, tasks_dir
from mlcd_eval.tables.comparison.compare import compare
from mlcd_eval.tables.comparison.pairing import load_side
from mlcd_eval.tables.report.trainings import read_trainings
from mlcd_train.assignment import Labels, load_labels, save_labels
from mlcd_train.clustering import load_centres, save_centres
from mlcd_train.config import load_config
from mlcd_train.fit import new_model
from mlcd_train.runlog import read_log
from mlcd_train.state import TrainingState

DEMO = demo_data_dir()
GOLDEN = Path(__file__).parents[1] / "tests" / "imports" / "golden"
IMAGE_KINDS = ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "JPEG2000")
TOWER = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}
SHAPE = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
HARNESSES = {
    "clip": "clip-benchmark",
    "2026": "lmms-eval",
    "resu": "lm-eval",
    "Inte": "vlmevalkit",
    "VLM_": "vlmevalkit",
}
"""The first letters of a file's name -> the harness that writes such files."""


@dataclass
class Reader:
    """path: the file to damage. recovers: whether `read` must give the same result as before the damage."""

    name: str
    path: Path
    read: Callable[[Path], Any]
    recovers: bool = False


def read_everything(ref: str) -> None:
    """Read a dataset with all its samples, pixels and annotations."""
    dataset = open_dataset(ref, offline=True)
    for name in dataset.splits:
        if name == "train" and dataset.kind == "docvqa":
            continue  # its pages are rendered, not read
        split = dataset.split(name)
        split.scan()
        if isinstance(dataset, AnnotatedDataset):
            list(dataset.annotations(name))
        for shard in split.shards:
            for sample in shard.samples():
                decode(sample.image, sample.key)


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
    small_wds(folder / "wds", DEMO / "wds_demo_clipart", 12)
    small_wds(folder / "captions", DEMO / "wds_demo_captions", 12)
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
        yield Reader(name, folder / data / file, lambda path, data=data: read_everything(f"wds:{folder}/{data}"))

    picture = next(iter(open_dataset(f"wds:{folder}/wds").split("test").shards[0].samples()))
    for kind in IMAGE_KINDS:
        decode(picture.image, picture.key).save(folder / kind, kind)
        yield Reader(f"image {kind}", folder / kind, lambda path: decode(path.read_bytes(), "image"))

    rows = {"image": [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")], "label": [0, 1]}
    columns = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    hf_dataset = datasets.Dataset.from_dict(rows, features=datasets.Features(columns))
    (folder / "parquet").mkdir()
    hf_dataset.to_parquet(folder / "parquet" / "test.parquet")
    hf_dataset.save_to_disk(folder / "arrow")
    datasets.config.HF_DATASETS_CACHE = folder / "hf_cache"
    yield Reader("hf parquet", folder / "parquet" / "test.parquet", lambda path: read_everything(f"hf:{path.parent}"))
    for path in sorted((folder / "arrow").iterdir()):
        yield Reader(f"hf {path.name[-18:]}", path, lambda path: read_everything(f"hf:{path.parent}"))

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
        )


def annotation_readers(folder: Path) -> Iterator[Reader]:
    """Readers of RefCOCO's and DocVQA's files, and of predictions for them."""
    shutil.copytree(DEMO / "refer" / "refdemo", folder / "refer" / "refdemo")
    (folder / "refer" / "images").symlink_to(DEMO / "refer" / "images")
    shutil.copytree(DEMO / "docdemo", folder / "docdemo")
    refer = open_dataset(f"refer:{DEMO}/refer/refdemo/unc/val").annotations("val")
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
    yield Reader("masks jsonl", folder / "masks.jsonl", lambda path: read_masks(path, refer))
    yield Reader("answers json", folder / "answers.json", lambda path: read_answers(path, questions))


def model_readers(folder: Path) -> Iterator[Reader]:
    """Readers of --model for folders and files."""
    shape = CheckpointConfig(vision=TOWER, preprocess=Preprocess(image_size=16))
    save_checkpoint(folder / "checkpoint", new_model(shape, 0, torch.device("cpu")))
    for path in sorted((folder / "checkpoint").iterdir()):
        yield Reader(f"checkpoint {path.name}", path, lambda path: load_checkpoint(path.parent))

    vision = {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 8, "vocab_size": 60, "width": 16, "heads": 2, "layers": 1}
    config = {"embed_dim": 16, "vision_cfg": vision, "text_cfg": text}
    (folder / "open_clip").mkdir()
    (folder / "open_clip" / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": config, "preprocess_cfg": {"mean": [0.5] * 3}})
    )
    weights = open_clip.CLIP(16, open_clip.CLIPVisionCfg(**vision), open_clip.CLIPTextCfg(**text)).state_dict()
    for kind, save in (("safetensors", save_file), ("bin", torch.save)):
        shutil.copytree(folder / "open_clip", folder / f"open_clip_{kind}")
        save(weights, folder / f"open_clip_{kind}" / f"open_clip_model.{kind}")
        for path in sorted((folder / f"open_clip_{kind}").iterdir())[kind == "bin" :]:
            yield Reader(path.name, path, lambda path: load_encoder(f"open_clip:local-dir:{path.parent}"))

    config = transformers.CLIPVisionConfig(**SHAPE, image_size=16, patch_size=8)
    transformers.CLIPVisionModel(config).save_pretrained(folder / "hf")
    crop = {"height": 16, "width": 16}
    transformers.CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=crop).save_pretrained(folder / "hf")
    for path in sorted((folder / "hf").iterdir()):
        yield Reader(f"hf {path.name}", path, lambda path: load_encoder(f"hf:{path.parent}", offline=True))

    torch.save(timm.create_model("test_vit").state_dict(), folder / "timm.pth")
    yield Reader("timm pth", folder / "timm.pth", lambda path: load_encoder(f"timm:test_vit?checkpoint={path}"))


def training_readers(folder: Path) -> Iterator[Reader]:
    """Readers of the trainer."""
    labels = Labels(["a", "b"], torch.tensor([[1, 2], [0, 3]]), torch.rand(2, 2), 4, "d" * 64, "c" * 64)
    save_labels(folder / "labels.safetensors", labels)
    save_centres(folder / "centres.safetensors", torch.rand(4, 8))
    shutil.copy(Path(load_config.__code__.co_filename).parent / "configs" / "demo_mlcd.yaml", folder / "train.yaml")
    lines = [{"step": step, "loss": 1 / step, "images_per_s": 9.5} for step in range(1, 9)]
    (folder / "fit").mkdir()
    (folder / "fit" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    yield Reader("label file", folder / "labels.safetensors", load_labels)
    yield Reader("centres", folder / "centres.safetensors", load_centres)
    yield Reader("train config", folder / "train.yaml", load_config)
    yield Reader("training log", folder / "fit" / "log.jsonl", lambda path: (read_log(path), read_trainings(folder)))

    def state() -> TrainingState:
        weight = torch.nn.Parameter(torch.ones(4))
        optimizer = torch.optim.AdamW([weight])
        weight.grad = torch.ones(4)
        optimizer.step()
        return TrainingState([("w", weight)], optimizer, None, None, torch.amp.GradScaler("cpu", enabled=False))

    saved = state()
    saved.step, saved.positions = 3, {0: (0, 24)}
    saved.save(folder / "state", "config", keep=1)
    for path in sorted((folder / "state").glob("*/*")):
        yield Reader(f"state {path.name}", path, lambda _: state().load(folder / "state", "config"))


def import_into_a_new_folder(harness: str, path: Path) -> None:
    """Import as `mlcd-eval import` does."""
    with tempfile.TemporaryDirectory() as output:
        import_results(harness, [path], Path(output))


def record_readers(folder: Path) -> Iterator[Reader]:
    """Readers of task files, records, samples, and results of other harnesses."""
    datasets = TaskIndex.load().datasets
    for name in ("linear_probe/pets.yaml", "suites/demo.yaml"):
        path = folder / name.replace("/", "_")
        shutil.copy(tasks_dir() / name, path)
        yield Reader(f"task {path.name}", path, lambda path: read_spec(path, datasets))

    model = new_model(CheckpointConfig(vision=TOWER, preprocess=Preprocess(image_size=16)), 0, torch.device("cpu"))
    save_checkpoint(folder / "model", model)
    folders = {"output": folder / "out", "cache": folder / "cache"}
    mlcd_eval.evaluate(str(folder / "model"), "knn/demo_clipart", limit=20, log_samples=True, **folders)
    shutil.copytree(folder / "out" / "model", folder / "other")
    (path,) = (folder / "out" / "model").glob("*.json")
    yield Reader("record", path, read)
    (path,) = (folder / "out" / "model" / "samples").glob("*.jsonl")
    yield Reader("samples", path, lambda path: compare(load_side(path.parents[1]), load_side(folder / "other")))

    book = openpyxl.Workbook()
    for row in (("index", "question", "answer", "prediction"), (0, "q", "['a', 'b']", "a"), (1, "q", "c", None)):
        book.active.append(row)
    book.save(folder / "VLM_DocVQA_VAL.xlsx")
    for source in [*sorted(GOLDEN.iterdir()), folder / "VLM_DocVQA_VAL.xlsx"]:
        if source.name[:4] in HARNESSES and source.suffix != ".jsonl":
            path = folder / source.name
            with contextlib.suppress(shutil.SameFileError):
                shutil.copy(source, path)
            harness = partial(import_into_a_new_folder, HARNESSES[source.name[:4]])
            yield Reader(f"import {source.name[-22:]}", path, harness)


def store_readers(folder: Path) -> Iterator[Reader]:
    """Readers of what a run stores: damage must be detected and repaired."""
    shape = CheckpointConfig(vision=TOWER, preprocess=Preprocess(image_size=16))
    save_checkpoint(folder / "model", new_model(shape, 0, torch.device("cpu")))
    encoder = load_encoder(str(folder / "model"))
    small_wds(folder / "wds", DEMO / "wds_demo_clipart", 12)
    split = open_dataset(f"wds:{folder}/wds").split("test")
    options = EncodeOptions(folder / "cache")

    def features(_: Path) -> Any:
        encoded = encode_split(encoder, split, ["penultimate"], options).features["penultimate"]
        return encoded.array.tolist(), list(encoded.keys), encoded.labels.tolist(), list(encoded.bad)

    features(folder)
    (entry_folder,) = (folder / "cache" / "features").iterdir()
    for path in sorted(entry_folder.iterdir()):
        yield Reader(f"store {path.name}", path, features, recovers=True)

    part = Part(np.arange(6, dtype=np.float32).reshape(3, 2), ["a", "b", "c"], [0, 1, 2], [[], [], []], ["d"])
    entry = Entry(folder / "parts", FeatureKey("w", "p", "fp32", "l", "image", "d"))

    def parts(path: Path) -> Any:
        entry.tidy()
        if not path.is_file():
            entry.write_part((0, 0), part)
        stored = entry.read_part((0, 0))
        return stored.array.tolist(), stored.keys, stored.labels, stored.texts, stored.bad

    entry.write_part((0, 0), part)
    yield Reader("store part", entry.part_path((0, 0)), parts, recovers=True)

    dataset = open_dataset(f"docvqa:{DEMO}/docdemo/val_v1.0_withQT.json")
    annotations = dataset.annotations("val")[:6]
    encoder.answer = lambda images, questions, max_new_tokens: [question[::-1] for question in questions]

    def predictions(_: Path) -> Any:
        return dict(predict(encoder, dataset.split("val"), annotations, "answer", "f" * 64, folder / "cache").by_id)

    predictions(folder)
    (path,) = (folder / "cache" / "predictions").glob("*.jsonl")
    yield Reader("store predictions", path, predictions, recovers=True)

    def scan(_: Path) -> ShardScan:
        return kept_scan(folder / "scans", "file", lambda: ShardScan("f" * 64, 12))

    scan(folder)
    (path,) = (folder / "scans" / "scans").iterdir()
    yield Reader("store scan", path, scan, recovers=True)


def readers(folder: Path) -> Iterator[Reader]:
    """All readers, each group with its own folder."""
    for group in (data_readers, annotation_readers, model_readers, training_readers, record_readers, store_readers):
        group_folder = folder / group.__name__
        group_folder.mkdir()
        yield from group(group_folder)
