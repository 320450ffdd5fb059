"""Damaged files into every reader: only a UserError may come out. Prints how many inputs each reader was given.

python benchmarks/fuzz.py [--inputs 300] [--seed 0]
"""

import argparse
import collections
import json
import random
import shutil
import tempfile
import warnings
from pathlib import Path

import torch

from mlcd_eval.bundled import demo_data_dir, tasks_dir
from mlcd_eval.data import open_dataset
from mlcd_eval.data.base import AnnotatedDataset
from mlcd_eval.data.images import decode
from mlcd_eval.data.predictions import read_answers, read_masks
from mlcd_eval.encoders.checkpoint import CheckpointConfig, load_checkpoint, save_checkpoint
from mlcd_eval.encoders.preprocess import Preprocess
from mlcd_eval.errors import UserError
from mlcd_eval.records import read
from mlcd_eval.spec.safe_yaml import read_yaml
from mlcd_train.assignment import Labels, load_labels, save_labels
from mlcd_train.clustering import load_centres, save_centres
from mlcd_train.config import load_config
from mlcd_train.fit import new_model


def damaged(contents, chance):
    """Cut, flipped bits, a block of other bytes, two places exchanged, or a piece doubled."""
    contents = bytearray(contents)
    kind = chance.randrange(5)
    place = chance.randrange(max(len(contents), 1))
    if kind == 0:
        return bytes(contents[:place])
    if kind == 1:
        for _ in range(chance.randrange(1, 9)):
            contents[chance.randrange(len(contents))] ^= 1 << chance.randrange(8)
    elif kind == 2:
        contents[place : place + 16] = chance.randbytes(chance.randrange(1, 40))
    elif kind == 3:
        other = chance.randrange(len(contents))
        contents[place : place + 8], contents[other : other + 8] = (
            contents[other : other + 8],
            contents[place : place + 8],
        )
    else:
        contents[place:place] = contents[place : place + chance.randrange(1, 200)]
    return bytes(contents)


def read_everything(ref):
    """A dataset with all its samples, pixels and annotations."""
    dataset = open_dataset(ref)
    for name in dataset.splits:
        if name == "train" and dataset.kind == "docvqa":
            continue  # rendered
        split = dataset.split(name)
        split.scan()
        if isinstance(dataset, AnnotatedDataset):
            list(dataset.annotations(name))
        for shard in split.shards:
            for sample in shard.samples():
                decode(sample.image, sample.key)


def small_wds(folder, source, count):
    """The first samples of a bundled data set, for speed."""
    import tarfile

    for split in ("train", "test"):
        (folder / split).mkdir(parents=True)
        (folder / split / "nshards.txt").write_text("1")
        with tarfile.open(source / split / "0.tar") as whole, tarfile.open(folder / split / "0.tar", "w") as part:
            for member in whole.getmembers()[:count]:
                part.addfile(member, whole.extractfile(member))
    for path in source.glob("*.txt"):
        shutil.copy(path, folder)


def readers(folder):
    """name -> (file to damage, what reads it)."""
    demo = demo_data_dir()
    small_wds(folder / "wds", demo / "wds_demo_clipart", 12)
    small_wds(folder / "captions", demo / "wds_demo_captions", 12)
    shutil.copytree(demo / "refer" / "refdemo", folder / "refer" / "refdemo")
    (folder / "refer" / "images").symlink_to(demo / "refer" / "images")
    shutil.copytree(demo / "docdemo", folder / "docdemo")
    refer = open_dataset(f"refer:{demo}/refer/refdemo/unc/val").annotations("val")
    questions = open_dataset(f"docvqa:{demo}/docdemo/val_v1.0_withQT.json").annotations("val")
    masks = "".join(json.dumps({"sent_id": one.sent_id, "segmentation": one.truth}) + "\n" for one in refer)
    (folder / "masks.jsonl").write_text(masks)
    (folder / "answers.json").write_text(json.dumps([{"questionId": q.question_id, "answer": "x"} for q in questions]))
    vision = {"image_size": 16, "patch_size": 8, "width": 32, "depth": 1, "heads": 2}
    shape = CheckpointConfig(vision=vision, preprocess=Preprocess(image_size=16))
    save_checkpoint(folder / "checkpoint", new_model(shape, 0, torch.device("cpu")))
    labels = Labels(["a", "b"], torch.tensor([[1, 2], [0, 3]]), torch.rand(2, 2), 4, "d" * 64, "c" * 64)
    save_labels(folder / "labels.safetensors", labels)
    save_centres(folder / "centres.safetensors", torch.rand(4, 8))
    shutil.copy(tasks_dir() / "linear_probe" / "pets.yaml", folder / "task.yaml")
    shutil.copy(Path(load_config.__code__.co_filename).parent / "configs" / "demo_mlcd.yaml", folder / "train.yaml")
    image = next(sample.image for sample in open_dataset(f"wds:{folder}/wds").split("test").shards[0].samples())
    (folder / "image").write_bytes(image)
    record = next(Path("results/runs").rglob("*.json"), None)
    found = {
        "webdataset tar": (folder / "wds" / "test" / "0.tar", lambda p: read_everything(f"wds:{folder}/wds")),
        "webdataset captions": (
            folder / "captions" / "test" / "0.tar",
            lambda p: read_everything(f"wds:{folder}/captions"),
        ),
        "nshards.txt": (folder / "wds" / "train" / "nshards.txt", lambda p: read_everything(f"wds:{folder}/wds")),
        "classnames.txt": (folder / "wds" / "classnames.txt", lambda p: read_everything(f"wds:{folder}/wds")),
        "image": (folder / "image", lambda p: decode(p.read_bytes(), "image")),
        "refs(unc).p": (
            folder / "refer/refdemo/refs(unc).p",
            lambda p: open_dataset(f"refer:{folder}/refer/refdemo/unc"),
        ),
        "instances.json": (
            folder / "refer/refdemo/instances.json",
            lambda p: list(open_dataset(f"refer:{folder}/refer/refdemo/unc/val").annotations("val")),
        ),
        "DocVQA json": (
            folder / "docdemo/val_v1.0_withQT.json",
            lambda p: open_dataset(f"docvqa:{p}").split("val").scan(),
        ),
        "masks jsonl": (folder / "masks.jsonl", lambda p: read_masks(p, refer)),
        "answers json": (folder / "answers.json", lambda p: read_answers(p, questions)),
        "checkpoint config": (folder / "checkpoint/config.json", lambda p: load_checkpoint(p.parent)),
        "checkpoint weights": (folder / "checkpoint/model.safetensors", lambda p: load_checkpoint(p.parent)),
        "label file": (folder / "labels.safetensors", load_labels),
        "centres": (folder / "centres.safetensors", load_centres),
        "task yaml": (folder / "task.yaml", read_yaml),
        "train config": (folder / "train.yaml", load_config),
    }
    if record is not None:
        shutil.copy(record, folder / "record.json")
        found["record"] = (folder / "record.json", read)
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    total, wrong = 0, []
    with tempfile.TemporaryDirectory() as name:
        for reader, (path, read_it) in readers(Path(name)).items():
            chance = random.Random(f"{args.seed} {reader}")
            whole, outcomes = path.read_bytes(), collections.Counter()
            read_it(path)
            for number in range(args.inputs):
                path.write_bytes(damaged(whole, chance))
                try:
                    read_it(path)
                    outcomes["read"] += 1
                except UserError as error:
                    outcomes["told" if "\n" not in str(error) or reader == "train config" else "several lines"] += 1
                except Exception as error:
                    outcomes["ESCAPED"] += 1
                    wrong.append(f"{reader} input {number}: {type(error).__name__}: {str(error)[:120]}")
            path.write_bytes(whole)
            total += args.inputs
            print(f"{reader:<20} {args.inputs} inputs: {dict(outcomes)}", flush=True)
    print(f"{total} inputs to every reader, {len(wrong)} escaped")
    for line in wrong[:20]:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
