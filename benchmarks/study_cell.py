"""One cell of the study: train by the project's trainer, measure at each length, write a record."""

import json
import platform
import shutil
import time
from dataclasses import asdict

import numpy as np
import study_data
import torch
from safetensors.torch import load_file
from study_measures import (
    calibration,
    cosines_by_truth,
    features_of,
    in_clutter,
    mean_average_precision,
    multilabel_probe,
)
from torch.nn.functional import normalize

from mlcd_eval.encoders.adapters.checkpoint import load_checkpoint
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.spec import validated
from mlcd_eval.support.fileio import write_text
from mlcd_eval.support.progress import Progress
from mlcd_train.config import TrainConfig
from mlcd_train.runlog import LOG_NAME, read_log
from mlcd_train.stages import TrainingRun
from mlcd_train.start import converted

TOWER = {"image_size": study_data.SIDE, "patch_size": 12, "width": 96, "depth": 4, "heads": 2}
DIM = 64
BATCH = 32
CURVE = ("step", "loss", "positive", "negative", "positive_below_0", "negative_below_0")
CURVE += ("positive_cosine", "negative_cosine", "positive_logit", "negative_logit")
FIT = {"batch_size": BATCH, "log_every": 15}


def run_config(name, folder, data, labels, fit, seed, vision=TOWER, init=None):
    """A training config of the study."""
    values = {
        "name": name,
        "output": str(folder),
        "seed": seed,
        "device": "cpu",
        "cache": str(folder / "cache"),
        "data": {"train": f"tars:{data}", "shuffle": 5000, "augmentation": {"scale": [0.7, 1.0]}},
        "assign": {"labels": str(labels)},
        "model": {"vision": vision, "embed_dim": DIM, "init": init},
        "fit": fit,
    }
    return validated(TrainConfig, values, name)


def pretrain(scenes, folder, steps):
    """Train the tower that cells start from, on classes that are not the study's; returns its checkpoint.

    Its objective, softmax with equal shares for an image's labels, is none of those that are compared.
    """
    fit = FIT | {
        "objective": {"name": "superclass", "weights": "equal", "ratio": 1.0, "centres_lr": 5.0},
        "batch_size": 64,
        "steps": steps,
        "optimizer": {"lr": 2e-3, "warmup": min(50, steps // 10), "weight_decay": 0.05},
    }
    labels = scenes / "labels_pretraining.jsonl"
    run = TrainingRun(
        run_config("trained", folder, scenes / "pretraining/0.tar", labels, fit, 0), torch.device("cpu"), Progress()
    )
    run.run()
    return run.checkpoint


class Measured:
    """The scenes that all cells are measured on, read once."""

    def __init__(self, scenes):
        self.true = study_data.read_labels(scenes / "labels_train.jsonl")
        self.vocabulary = sorted({name for labels in self.true.values() for name in labels})
        splits = ("train", "test", "other", "gallery", "query")
        self.splits = {split: study_data.read_split(scenes, split, self.vocabulary) for split in splits}

    def at(self, checkpoint, rows, given, last):
        """Measures of a checkpoint with class rows (C, D), in the order of the vocabulary; `last`: the costly ones too.
        Returns them, and the cosines (N, C) of the test scenes."""
        model = load_checkpoint(checkpoint).eval()
        rows = normalize(torch.from_numpy(rows), dim=1).numpy()
        features = {split: features_of(model, pixels) for split, (pixels, _, _) in self.splits.items()}
        labels = {split: label for split, (_, label, _) in self.splits.items()}
        cosines = {split: features[split] @ rows.T for split in ("train", "test", "other")}
        values = {f"map_{split}": mean_average_precision(cosines[split], labels[split]) for split in ("test", "other")}
        values |= in_clutter(
            features["gallery"],
            labels["gallery"].argmax(axis=1),
            features["query"],
            labels["query"].argmax(axis=1),
            len(self.vocabulary),
        )
        values["cosines_test"] = cosines_by_truth(cosines["test"], labels["test"], labels["test"])
        values["cosines_train"] = cosines_by_truth(cosines["train"], labels["train"], given)
        if last:
            for split in ("test", "other"):
                scores = multilabel_probe(features["train"], labels["train"], features[split])
                values[f"probe_map_{split}"] = mean_average_precision(scores, labels[split])
            values["calibration"] = calibration(cosines["train"], labels["train"], given)
        return values, cosines["test"]


def run_cell(cell, measured, scenes, starts, lengths, records, work):
    """Train and measure a cell, unless its record is there. starts: {start: an encoder whose tower that is}."""
    record = records / f"{cell.name}.json"
    if record.is_file():
        return
    lengths = [length * cell.longer for length in lengths]
    folder = work / "cells" / cell.name
    labels = folder / "labels.jsonl"
    shutil.rmtree(folder, ignore_errors=True)  # a cell that was killed begins again
    folder.mkdir(parents=True)
    study_data.write_labels(labels, measured.true, cell.quality, cell.objective == "unicom", cell.seed)
    every = lengths[0]
    fit = FIT | {
        "objective": cell.settings(),
        "steps": lengths[-1],
        "ema": 0.95,
        "optimizer": {"lr": 1e-3, "warmup": 20, "schedule": "constant", "weight_decay": 0.05},
        "save_every": every,
        "keep": lengths[-1] // every,
        "evaluate": {"every": every, "keep": True},
    }
    vision, init = TOWER, starts.get(cell.start)
    if init is not None:
        vision = converted(load_encoder(init), init).vision.model_dump() | {"image_size": study_data.SIDE}
    config = run_config(cell.name, folder, scenes / "train/0.tar", labels, fit, cell.seed, vision, init)
    started, cpu = time.perf_counter(), time.process_time()
    TrainingRun(config, torch.device("cpu"), Progress()).run(["assign", "fit"])
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    log = read_log(folder / "fit" / LOG_NAME)
    known = study_data.read_labels(labels)
    keys = measured.splits["train"][2]
    given = np.array([[name in known[key] for name in measured.vocabulary] for key in keys], dtype=np.int64)
    order = json.loads((folder / "assign/labels/vocabulary.json").read_text())["names"]
    places = [order.index(name) for name in measured.vocabulary]
    at = {}
    for length in lengths:
        state = folder / f"fit/state/step_{length:07d}"
        rows = load_file(next(state.glob("centres_*.safetensors")))["weight"].numpy()[places]
        checkpoint = folder / f"fit/checkpoints/{cell.name}_step{length}"
        at[str(length)], cosine = measured.at(checkpoint, rows, given, length == lengths[-1])
    outcomes = work / "outcomes"
    outcomes.mkdir(parents=True, exist_ok=True)
    np.save(outcomes / f"{cell.name}.npy", cosine.astype(np.float16))
    curve = [{key: line[key] for key in CURVE if key in line} for line in log if "loss" in line]
    about = {"cell": asdict(cell), "lengths": lengths, "measures": at, "curve": curve}
    about["cost"] = {"seconds": seconds, "cpu_seconds": cpu, "processor": platform.machine()}
    write_text(record, json.dumps(about) + "\n")
    shutil.rmtree(folder)
