"""Readers of the trainer, and of what a run stores for itself, whose damage must be detected and repaired."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data import small_wds
from reader import DEMO, TOWER, Reader

from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import ShardScan
from mlcd_eval.data.scans import kept_scan
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, save_checkpoint
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.features.encode import EncodeOptions, encode_split
from mlcd_eval.features.predict import predict
from mlcd_eval.features.store import Entry, FeatureKey, Part
from mlcd_eval.tables.report.trainings import read_trainings
from mlcd_train.clustering import load_centres, save_centres
from mlcd_train.config import load_config
from mlcd_train.embed import read_embedding
from mlcd_train.fit import new_model
from mlcd_train.labels import LabelFiles, LabelsInfo, join_pieces, write_piece
from mlcd_train.runlog import read_log
from mlcd_train.state import TrainingState


def training_readers(folder: Path) -> Iterator[Reader]:
    """Readers of the trainer."""
    write_piece(folder / "labels", 0, ["a", "b"], torch.tensor([[1, 2], [0, 3]]))
    join_pieces(folder / "labels", LabelsInfo(2, 2, 4, "d" * 64, "c" * 64))
    save_centres(folder / "centres.safetensors", torch.rand(4, 8))
    shutil.copy(Path(load_config.__code__.co_filename).parent / "configs" / "demo_mlcd.yaml", folder / "train.yaml")
    lines = [{"step": step, "loss": 1 / step, "images_per_s": 9.5} for step in range(1, 9)]
    (folder / "fit").mkdir()
    (folder / "fit" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path in sorted((folder / "labels").iterdir()):
        yield Reader(f"labels {path.name}", path, lambda path: LabelFiles(path.parent).classes_of(["a", "b"]).tolist())
    yield Reader("centres", folder / "centres.safetensors", load_centres)
    (folder / "embedding").mkdir()
    np.save(folder / "embedding" / "features.npy", np.ones((3, 2), np.float32))
    (folder / "embedding" / "rows.json").write_text(json.dumps({"keys": ["a", "b", "c"], "dataset": "d" * 64}))
    for path in sorted((folder / "embedding").iterdir()):
        yield Reader(f"embedding {path.name}", path, lambda path: read_embedding(path.parent))
    yield Reader("train config", folder / "train.yaml", load_config)
    yield Reader("training log", folder / "fit" / "log.jsonl", lambda path: (read_log(path), read_trainings(folder)))

    def state() -> TrainingState:
        weight = torch.nn.Parameter(torch.ones(4))
        optimizer = torch.optim.AdamW([weight])
        weight.grad = torch.ones(4)
        optimizer.step()
        return TrainingState([("w", weight)], optimizer, None, {}, torch.amp.GradScaler("cpu", enabled=False))

    saved = state()
    saved.step, saved.positions = 3, {0: (0, 24)}
    saved.save(folder / "state", "config", keep=1)
    for path in sorted((folder / "state").glob("*/*")):
        yield Reader(f"state {path.name}", path, lambda _: state().load(folder / "state", "config"))


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
