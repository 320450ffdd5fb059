"""Time and memory of the commands that read records, over a folder of many: 2,000 tasks on 50 models by default; and of
zero-shot classification of a million images.

python benchmarks/load.py [--models 50] [--tasks 2000] [--folder DIR] [COMMAND ...]

Each command runs in a process of its own, twice: `first` without an index of records, `again` with the one that the
first run left. DIR is filled once, from a seed, and kept if it is given. Zero-shot (`zeroshot`, `many-classes`) scores
random features in a file, as the store keeps them.
"""

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from mlcd_eval.records.checksum import CHECKSUM, checksum

FORMATS = ("csv", "json", "markdown", "latex", "html")
PROTOCOLS = {
    "zeroshot": {"split": "test", "layer": "projected", "metric": None, "class_names": None, "templates": None},
    "knn": {"layer": "penultimate", "ks": [10, 20, 100, 200], "temperature": 0.07},
}
METRICS = {
    "zeroshot": ("acc1", "acc5", "mean_per_class_recall", "mean_top1_top5"),
    "knn": ("knn_acc1@20", "knn_acc5@20", "knn_acc1@200", "knn_acc5@200"),
}
ENVIRONMENT = {
    "mlcd_eval": "0.1.0",
    "git_commit": "0" * 40,
    "python": "3.11.7",
    "platform": "Linux-6.18.44-x86_64-with-glibc2.36",
    "cpus": 64,
    **dict.fromkeys(("torch", "torchvision", "open_clip_torch", "transformers", "timm", "numpy"), "2.14.1"),
    "scikit-learn": "1.9.1",
    "pillow": "13.0.0",
    "device": "cuda:0",
    "device_name": "NVIDIA H200",
    "threads": 16,
}
FAILED = 0.01  # of the records
ZEROSHOT = {"zeroshot": (1_000_000, 1_000, 512), "many-classes": (100_000, 20_000, 256)}
"""Images, classes and dimensions."""


def task_name(number):
    return f"{'knn' if number % 2 else 'zeroshot'}/d{number:05}"


def record(model, number, chance):
    """A record as `run` writes it, of random values."""
    name = task_name(number)
    protocol, _, data = name.partition("/")
    size = 1_000 + 10 * number
    failed = chance.random() < FAILED
    metrics = []
    for metric in METRICS[protocol]:
        value = chance.random()
        ends = [value - 0.01 * chance.random(), value + 0.01 * chance.random()]
        about = {"unit": "fraction", "higher_is_better": True, "num_scored": size, "num_unscored": 0, "ci95": ends}
        metrics.append({"name": metric, "value": value, **about})
    spec = f"open_clip:local-dir:/srv/models/{model}"
    options = {"models": [f"{model}={spec}"], "tasks": [name], "device": "cuda"}
    return {
        "schema_version": 1,
        "status": "error" if failed else "ok",
        "error": f"split 'test' of {data} is empty" if failed else None,
        "traceback": None,
        "task": {
            "name": name,
            "version": 1,
            "protocol": protocol,
            "protocol_version": 2,
            "settings": PROTOCOLS[protocol],
        },
        "dataset": {
            "name": data,
            "kind": "classification",
            "split": "test",
            "split_by": None,
            "annotations": None,
            "fingerprint": f"{number:064x}",
            "num_samples": size,
            "num_classes": 14,
            "expected_num_samples": size if number % 4 else size + 1,
        },
        "model": {
            "name": model,
            "spec": spec,
            "fingerprint": random.Random(model).randbytes(32).hex(),
            "num_params": 14065537,
            "preprocessing": "Compose( Resize(size=64, interpolation=bicubic, max_size=None, antialias=True) "
            "CenterCrop(size=(64, 64)) MaybeConvertMode() MaybeToTensor() Normalize(mean=[0.48145466, 0.4578275, "
            "0.40821073], std=[0.26862954, 0.26130258, 0.27577711]) )",
            "precision": "fp32",
            "extra": {"pooling": "token"},
        },
        "metrics": [] if failed else metrics,
        "primary_metric": None if failed else METRICS[protocol][0],
        "details": {"prompts": "class names: folder; templates: folder", "num_classes": 14, "num_templates": 3},
        "seed": 0,
        "limit": None,
        "environment": ENVIRONMENT,
        "timing": {
            "started": "2026-11-30T03:40:56+00:00",
            "encode_s": chance.random(),
            "score_s": chance.random(),
            "images_encoded": size,
        },
        "request": {
            "command": f"mlcd-eval run --model {model}={spec} --tasks {name} --device cuda",
            "dataset": f"imagefolder:/srv/data/{data}",
            "revision": None,
            "options": options,
            "predictions": None,
        },
    }


def write_records(folder, models, tasks):
    chance = random.Random(0)
    for model in models:
        (folder / model).mkdir(parents=True)
        for number in range(tasks):
            values = record(model, number, chance)
            text = json.dumps(values | {CHECKSUM: checksum(values)}, indent=2)
            (folder / model / f"{task_name(number).replace('/', '__')}.json").write_text(text + "\n")
    for model in models[:2]:  # for `compare`: the primary metric of one task, by sample
        number = 0
        path = folder / model / f"{task_name(number).replace('/', '__')}.json"
        held = json.loads(path.read_text())
        hits = [float(chance.random() < 0.5) for _ in range(1_000)]
        held["status"], held["error"], held["primary_metric"] = "ok", None, "acc1"
        del held[CHECKSUM]
        held["metrics"] = [
            {"name": "acc1", "value": sum(hits) / len(hits), "unit": "fraction", "higher_is_better": True}
            | {"num_scored": 1_000, "num_unscored": 0, "ci95": None}
        ]
        path.write_text(json.dumps(held | {CHECKSUM: checksum(held)}, indent=2) + "\n")
        (path.parent / "samples").mkdir()
        rows = [json.dumps({"key": str(key), "label": 0, "acc1": hit}) for key, hit in enumerate(hits)]
        (path.parent / "samples" / f"{path.stem}.jsonl").write_text("".join(row + "\n" for row in rows))


def write_data(folder, tasks):
    """For `plan`: data sets of two classes, an image each."""
    image = Image.new("RGB", (8, 8))
    for number in range(tasks):
        for split in ("train", "test"):
            for name in ("cat", "dog"):
                path = folder / f"d{number:05}" / split / name / "0.png"
                path.parent.mkdir(parents=True)
                image.save(path)


def commands(folder, models):
    """Name -> what Python runs, and the file that it writes."""
    records = folder / "records"
    made = {
        form: (
            ["-m", "mlcd_eval", "table", str(records), "--format", form, "--output", str(folder / f"table.{form}")],
            f"table.{form}",
        )
        for form in FORMATS
    }
    named = [word for model in models for word in ("--model", f"{model}=open_clip:ViT-B-32/openai")]
    data = ["--data-root", str(folder / "data"), "--output", str(records)]
    made["plan"] = (["-m", "mlcd_eval", "plan", *named, "--tasks", "knn", *data], None)
    made["compare"] = (["-m", "mlcd_eval", "compare", str(records), "--model", models[0], "--model", models[1]], None)
    made["ls"] = (["-m", "mlcd_eval", "ls", "tasks", "*"], None)
    return made


def score_zeroshot(file, num_classes):
    """Zero-shot scoring of features in a file, with random class vectors."""
    import numpy as np

    from mlcd_eval.protocols.base import Features, Inputs
    from mlcd_eval.protocols.classification.zeroshot import ZeroShot, ZeroShotSettings

    array = np.load(file, mmap_mode="r")
    labels = np.arange(len(array)) % num_classes
    images = Features(array, [str(key) for key in range(len(array))], labels)
    inputs = Inputs(
        images={"test": images},
        encode_texts=lambda texts: (
            np.random.default_rng(1).normal(size=(len(texts), array.shape[1])).astype(np.float32)
        ),
        class_names=[f"class {number}" for number in range(num_classes)],
        templates=["a photo of {c}."],
    )
    ZeroShot().score(ZeroShotSettings(), inputs)


def write_features(file, rows, dim):
    import numpy as np

    array = np.lib.format.open_memmap(file, mode="w+", dtype=np.float32, shape=(rows, dim))
    rng = np.random.default_rng(0)
    for begin in range(0, rows, 1 << 16):
        array[begin : begin + (1 << 16)] = rng.normal(size=array[begin : begin + (1 << 16)].shape)


def measured(words, environment):
    """Seconds, seconds of all cores, and peak MB of a process of Python, of its largest where it starts others; what it
    prints is thrown away."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    complaint = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    code = os.waitstatus_to_exitcode(status)
    process.returncode = code
    assert code == 0, complaint
    return time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", metavar="COMMAND", help="by default all")
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=2_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--score", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.score:
        score_zeroshot(args.score[0], int(args.score[1]))
        return
    models = [f"model{number:03}" for number in range(args.models)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if not (folder / "records").is_dir():
            write_records(folder / "records", models, args.tasks)
            write_data(folder / "data", args.tasks)
        total = sum(path.stat().st_size for path in (folder / "records").glob("*/*.json"))
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        print(f"{args.models * args.tasks:,} records, {total / 1e6:.0f} MB")
        cache = folder / "cache"
        environment = {**os.environ, "MLCD_EVAL_CACHE": str(cache)}
        known = commands(folder, models)
        for name in args.commands or [*known, *ZEROSHOT]:
            if name in ZEROSHOT:
                rows, classes, dim = ZEROSHOT[name]
                write_features(folder / "features.npy", rows, dim)
                seconds, busy, peak = measured(
                    [__file__, "--score", str(folder / "features.npy"), str(classes)], environment
                )
                about = f"{rows:,} images of {dim} numbers, {classes:,} classes"
                print(f"{about}: {seconds:.1f} s ({busy:.1f} s of a core), {peak:,.0f} MB at most", flush=True)
                continue
            arguments, written = known[name]
            shutil.rmtree(cache, ignore_errors=True)
            for run in ("first", "again"):
                seconds, busy, peak = measured(arguments, environment)
                size = f", {(folder / written).stat().st_size / 1e6:.1f} MB written" if written else ""
                print(
                    f"{name:9} {run}: {seconds:6.1f} s ({busy:.1f} s of a core), {peak:6,.0f} MB at most{size}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
