"""RICE on boxes of objects, beside MLCD on the same labels without boxes, by a region and by a dense task.

python benchmarks/rice.py --refer ROOT/NAME/unc --objects FOLDER [--steps 300] [--seeds 3] [--output DIR]

Two sets of boxes: those of instances.json of a data set in RefCOCO's layout (images of its train split, classes its
categories; refstamps of the shared data), and those of scenes composed here (scenes.py; FOLDER: wds_emoji_1shot). On
each, a small ViT from scratch learns by `rice` from boxes with labels, and by `mlcd` from the same labels of whole
images. Both, and the tower that they start from, are measured on frozen patches: refcoco's probe on the data set's
testA, with the bundled model's text tower (overall IoU), and seg_linear/demo (mIoU). What is finished is kept, so that
a stopped script resumes.
"""

import argparse
import json
import platform
import statistics
from pathlib import Path

import scenes
import torch

import mlcd_eval
from mlcd_eval.data.open import open_dataset
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, save_checkpoint
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.spec import validated
from mlcd_eval.support.bundled import demo_model_dir
from mlcd_eval.support.fileio import write_text
from mlcd_eval.support.progress import Progress
from mlcd_train.config import TrainConfig
from mlcd_train.fit import new_model
from mlcd_train.stages import TrainingRun

SIDE = 64
SHAPE = {"vision": {"image_size": SIDE, "patch_size": 8, "width": 96, "depth": 4, "heads": 2}, "embed_dim": 64}
CLASSES, SCENES = 40, 2000
SETTINGS = {"ratio": 1.0, "scale": 16.0, "centres_lr": 5.0}
REGION = {"split": "testA", "steps": 300, "text_encoder": str(demo_model_dir())}
DENSE = "seg_linear/demo"


def boxes_of_refer(address, folder):
    """Write the boxes of the train split's images; returns the reference of the training data."""
    annotations = json.loads((Path(address).parent / "instances.json").read_text())
    names = {category["id"]: category["name"] for category in annotations["categories"]}
    images = {image["id"]: image for image in annotations["images"]}
    regions = {}
    for annotation in annotations["annotations"]:
        region = {"box": annotation["bbox"], "label": names[annotation["category_id"]]}
        regions.setdefault(annotation["image_id"], []).append(region)
    train = [int(s.key) for shard in open_dataset(f"refer:{address}").split("train").shards for s in shard.samples()]
    rows = [
        {"key": str(n), "size": [images[n]["width"], images[n]["height"]], "regions": regions[n]}
        for n in train
        if n in regions
    ]
    write_rows(folder, rows)
    return f"refer:{address}"


def boxes_of_scenes(objects, folder):
    """Compose the scenes; returns the reference of the training data."""
    names = (objects / "classnames.txt").read_text().splitlines()
    drawings = scenes.read_objects(objects, "train", set(range(CLASSES)))
    scenes.make("train", 0, drawings, names, SCENES, SIDE, 0, folder)
    write_rows(folder, [json.loads(line) for line in (folder / "boxes_train.jsonl").read_text().splitlines()])
    return f"tars:{folder / 'train/0.tar'}"


def write_rows(folder, rows):
    """The files of boxes and of labels."""
    labels = [{"key": row["key"], "labels": sorted({r["label"] for r in row["regions"]})} for row in rows]
    for name, of_file in (("boxes", rows), ("labels", labels)):
        write_text(folder / f"{name}.jsonl", "".join(f"{json.dumps(row)}\n" for row in of_file))


def trained(objective, data, folder, name, seed, steps):
    """The checkpoint of a training."""
    settings = {"name": "mlcd", **SETTINGS}
    if objective == "rice":
        settings = {"name": "rice", "regions": str(folder / "boxes.jsonl"), "objects": SETTINGS}
    values = {
        "name": name,
        "output": str(folder / name),
        "seed": seed,
        "device": "cpu",
        "data": {"train": data, "shuffle": 5000, "augmentation": {"scale": [0.7, 1.0]}},
        "assign": {"labels": str(folder / "labels.jsonl")} if objective == "mlcd" else None,
        "model": SHAPE,
        "fit": {"objective": settings, "batch_size": 32, "steps": steps, "optimizer": {"lr": 1e-3, "warmup": 20}},
    }
    run = TrainingRun(validated(TrainConfig, values, name), torch.device("cpu"), Progress())
    run.run()
    return run.checkpoint


def measured(checkpoint, refer, output):
    """The primary values of the region task and of the dense one."""
    options = {"output": output / "records", "cache": output / "cache", "device": "cpu"}
    [region] = mlcd_eval.evaluate(str(checkpoint), "refcoco", datasets=f"refer:{refer}", settings=REGION, **options)
    [dense] = mlcd_eval.evaluate(str(checkpoint), DENSE, **options)
    return [region.primary.value, dense.primary.value]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refer", required=True)
    parser.add_argument("--objects", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("results/train/rice"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    places = {name: args.output / name for name in ("refer", "scenes")}
    for folder in places.values():
        folder.mkdir(parents=True, exist_ok=True)
    data = {
        "refer": boxes_of_refer(args.refer, places["refer"]),
        "scenes": boxes_of_scenes(args.objects, places["scenes"]),
    }
    print(
        f"{platform.machine()}; {args.steps} steps of 32 images of {SIDE} pixels; refcoco testA, {DENSE}, in per cent"
    )
    values = {}
    for seed in range(args.seeds):
        start = args.output / f"start_seed{seed}"
        if not start.is_dir():
            shape = CheckpointConfig(**SHAPE, preprocess=Preprocess(image_size=SIDE))
            save_checkpoint(start, new_model(shape, seed, torch.device("cpu")))
        checkpoints = {("start", "-"): start}
        for place, folder in places.items():
            for objective in ("mlcd", "rice"):
                name = f"{objective}_{place}_seed{seed}"
                checkpoints[objective, place] = trained(objective, data[place], folder, name, seed, args.steps)
        for (objective, place), checkpoint in checkpoints.items():
            both = measured(checkpoint, args.refer, args.output)
            values.setdefault((objective, place), []).append(both)
            print(f"seed {seed} {objective} on {place}: {' '.join(f'{100 * v:.2f}' for v in both)}", flush=True)
    for (objective, place), rows in values.items():
        columns = [[100 * value for value in column] for column in zip(*rows, strict=True)]
        shown = [f"{statistics.mean(c):.2f}" + (f" +- {statistics.stdev(c):.2f}" if c[1:] else "") for c in columns]
        print(f"{objective:<6} on {place:<7} {'   '.join(shown)} over {len(rows)} seeds")


if __name__ == "__main__":
    main()
