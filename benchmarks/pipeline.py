"""Whole processes: zero-shot, retrieval and linear probe of one model on four data sets, by clip-benchmark and by ours.

python benchmarks/pipeline.py --model DIR --data DIR [--classified A,B] [--captioned C,D]

--model is an open_clip folder. --data holds wds_NAME folders in clip-benchmark's layout. Both sides read the same copy,
in which the last training shard is the val split, so that both search the probe's regularisation on it. Each split has
as many shards as clip-benchmark's default number of workers, which it requires.

clip-benchmark runs three commands, one per task, each on all of its data sets, with the flags of its README (probe: 20
epochs of AdamW, batches of 512 rows, 19 weight decays and a final fit), in fp32: once with its default of four workers,
and once without workers, which is faster on small data and few cores. Its probe asserts CUDA; here it runs on the CPU,
by `python -O` and a `.cuda()` that does nothing. Each command starts without stored features.
mlcd-eval runs one command: with an empty cache; then with its cache but no records, so that everything is scored again;
then once more, when its records exist. Its probe is CLIP's full sweep.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import sys
import tarfile
import tempfile
import time
from itertools import groupby
from pathlib import Path

import torch

from mlcd_eval.records import read_all

OURS = {"acc1": "acc1", "acc5": "acc5", "mean_per_class_recall": "mean_per_class_recall"}
OURS |= {f"image_retrieval_recall@{k}": f"text_to_image_recall@{k}" for k in (1, 5, 10)}
OURS |= {f"text_retrieval_recall@{k}": f"image_to_text_recall@{k}" for k in (1, 5, 10)}
DEFAULT_WORKERS = 4  # clip-benchmark's
ON_CPU = """
import torch
torch.nn.Module.cuda = torch.Tensor.cuda = lambda self, *_: self
from clip_benchmark.cli import main
main()
"""


def seconds(command):
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return time.perf_counter() - started


def samples(folder, shards):
    """The members of each sample, in order."""
    for number in shards:
        with tarfile.open(folder / f"{number}.tar") as archive:
            members = ((member, archive.extractfile(member).read()) for member in archive if member.isfile())
            for _, group in groupby(members, key=lambda pair: pair[0].name.partition(".")[0]):
                yield list(group)


def write_shards(folder, items):
    """Write the samples in as many shards as clip-benchmark's default number of workers, which it requires."""
    folder.mkdir(parents=True)
    for number in range(DEFAULT_WORKERS):
        with tarfile.open(folder / f"{number}.tar", "w") as archive:
            for members in items[number * len(items) // DEFAULT_WORKERS : (number + 1) * len(items) // DEFAULT_WORKERS]:
                for member, contents in members:
                    archive.addfile(member, io.BytesIO(contents))
    (folder / "nshards.txt").write_text(str(DEFAULT_WORKERS))


def reshard(source, target):
    """Write the data set in new shards; of a data set with classes, the last training shard becomes val."""
    target.mkdir()
    for path in source.glob("*.txt"):
        (target / path.name).symlink_to(path)
    shards = {name: range(int((source / name / "nshards.txt").read_text())) for name in ("train", "test")}
    write_shards(target / "test", list(samples(source / "test", shards["test"])))
    if (source / "classnames.txt").is_file():
        *train, val = shards["train"]
        assert train, f"{source} has one training shard, expected at least two"
        write_shards(target / "train", list(samples(source / "train", train)))
        write_shards(target / "val", list(samples(source / "train", [val])))


def theirs(args, data, folder, workers):
    """Run clip-benchmark. Return seconds by task, and (protocol/data set, metric) -> value."""
    common = ["--model", f"local-dir:{args.model}", "--pretrained", "", "--no_amp", "--num_workers", str(workers)]
    common += ["--dataset_root", f"{data}/wds_{{dataset}}", "--output", f"{folder}/{{dataset}}_{{task}}.json"]
    probe = ["--fewshot_lr", "0.1", "--fewshot_epochs", "20", "--train_split", "train", "--val_split", "val"]
    probe += ["--batch_size", "512", "--feature_root", f"{folder}/features"]
    tasks = {
        "zeroshot_classification": (args.classified, ["--batch_size", "64"]),
        "zeroshot_retrieval": (args.captioned, ["--batch_size", "64", "--recall_k", "1", "5", "10"]),
        "linear_probe": (args.classified, probe),
    }
    durations, numbers = {}, {}
    for task, (names, options) in tasks.items():
        module = ["-O", "-c", ON_CPU] if task == "linear_probe" else ["-m", "clip_benchmark.cli"]
        command = [sys.executable, *module, "eval", "--task", task, *common, *options]
        durations[task] = seconds([*command, "--dataset", *(f"wds/{name}" for name in names)])
        protocol = task.removesuffix("_classification").removeprefix("zeroshot_")
        for name in names:
            for key, value in json.loads((folder / f"{name}_{task}.json").read_text())["metrics"].items():
                numbers[f"{protocol}/{name}", OURS.get(key, key)] = value
    return durations, numbers


def ours(args, data, output, cache):
    """Run mlcd-eval. Return its seconds, and (task, metric) -> value."""
    tasks = [f"{protocol}/{name}" for protocol in ("zeroshot", "linear_probe") for name in args.classified]
    tasks += [f"retrieval/{name}" for name in args.captioned]
    command = [sys.executable, "-m", "mlcd_eval", "run", "--model", f"open_clip:local-dir:{args.model}"]
    command += ["--tasks", ",".join(tasks), "--data-root", str(data), "--output", str(output), "--cache", str(cache)]
    command += ["--set", "selection=holdout"]  # one search, as theirs
    duration = seconds(command)
    return duration, {(r.task.name, m.name): m.value for r in read_all([output]) for m in r.metrics}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classified", type=lambda text: text.split(","), default=["openclipart", "emoji_groups"])
    parser.add_argument("--captioned", type=lambda text: text.split(","), default=["emoji_captions", "stamps_captions"])
    args = parser.parse_args()
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"
    print(f"{machine}, torch {torch.__version__}; {args.model.name}; {', '.join(args.classified + args.captioned)}")
    with tempfile.TemporaryDirectory() as name:
        folder, data = Path(name), Path(name) / "data"
        data.mkdir()
        for dataset in args.classified + args.captioned:
            reshard((args.data / f"wds_{dataset}").resolve(), data / f"wds_{dataset}")
        totals = {}
        for workers in (DEFAULT_WORKERS, 0):
            (folder / f"workers{workers}").mkdir()
            durations, numbers = theirs(args, data, folder / f"workers{workers}", workers)
            totals[workers] = sum(durations.values())
            parts = ", ".join(f"{task} {value:.1f}" for task, value in durations.items())
            print(f"clip-benchmark, {workers} workers: {totals[workers]:.1f} s ({parts})")
        runs = {
            "empty cache": ours(args, data, folder / "cold", folder / "cache"),
            "full cache, no records": ours(args, data, folder / "warm", folder / "cache"),
            "the same command again": ours(args, data, folder / "warm", folder / "cache"),
        }
    our_numbers = runs["empty cache"][1]
    for title, (duration, values) in runs.items():
        assert values == our_numbers, "the cache gives the same numbers"
        faster = " and ".join(f"{total / duration:.1f} x" for total in totals.values())
        print(f"mlcd-eval, {title}: {duration:.1f} s, {faster} as fast")
    shared = [key for key in numbers if key in our_numbers and not key[0].startswith("linear_probe")]
    difference = max(abs(numbers[key] - our_numbers[key]) for key in shared)
    print(f"{len(shared)} zero-shot and retrieval numbers from both, largest difference {difference:.1e}")
    for dataset in args.classified:
        task = f"linear_probe/{dataset}"
        print(f"{task} acc1: clip-benchmark {numbers[task, 'lp_acc1']:.4f}, mlcd-eval {our_numbers[task, 'acc1']:.4f}")


if __name__ == "__main__":
    main()
