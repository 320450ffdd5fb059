"""Whole processes: zero-shot, retrieval and linear probe of one model on four data sets, by clip-benchmark and by us.

python benchmarks/pipeline.py --model DIR --data DIR [--classified A,B] [--captioned C,D]

--model: a folder of open_clip's; --data: holds wds_NAME of clip-benchmark's layout. Both sides read the same copy, in
which the last training shard is the val split, so that both search the probe's regularisation on it, and each split
has as many shards as clip-benchmark has workers by default: with fewer it stops.

clip-benchmark: three commands, one a task, each on all of its data sets, with the flags of its README (probe: 20 epochs
of AdamW, 512 rows a batch, 19 weight decays and a last fit), fp32. Once with its default of four workers, and once
without, which is faster on small data and few cores. Its probe asserts CUDA; here it runs on the CPU by `python -O` and
with `.cuda()` doing nothing. Each command starts with no features kept.
mlcd-eval: one command. Empty cache; then its own cache and no records (all is scored anew); then the same once more,
which finds its records. Its probe is CLIP's full sweep.
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


def write_shards(folder, found):
    """As many as clip-benchmark's default workers, or these would stop it."""
    folder.mkdir(parents=True)
    for number in range(DEFAULT_WORKERS):
        with tarfile.open(folder / f"{number}.tar", "w") as archive:
            for members in found[number * len(found) // DEFAULT_WORKERS : (number + 1) * len(found) // DEFAULT_WORKERS]:
                for member, contents in members:
                    archive.addfile(member, io.BytesIO(contents))
    (folder / "nshards.txt").write_text(str(DEFAULT_WORKERS))


def view(source, place):
    """The data set in new shards, with the last training shard of a classified one as val."""
    place.mkdir()
    for path in source.glob("*.txt"):
        (place / path.name).symlink_to(path)
    shards = {name: range(int((source / name / "nshards.txt").read_text())) for name in ("train", "test")}
    write_shards(place / "test", list(samples(source / "test", shards["test"])))
    if (source / "classnames.txt").is_file():
        *train, val = shards["train"]
        assert train, f"{source} has one training shard"
        write_shards(place / "train", list(samples(source / "train", train)))
        write_shards(place / "val", list(samples(source / "train", [val])))


def theirs(args, data, folder, workers):
    """Seconds by task, and (protocol/data set, metric) -> value."""
    common = ["--model", f"local-dir:{args.model}", "--pretrained", "", "--no_amp", "--num_workers", str(workers)]
    common += ["--dataset_root", f"{data}/wds_{{dataset}}", "--output", f"{folder}/{{dataset}}_{{task}}.json"]
    probe = ["--fewshot_lr", "0.1", "--fewshot_epochs", "20", "--train_split", "train", "--val_split", "val"]
    probe += ["--batch_size", "512", "--feature_root", f"{folder}/features"]
    tasks = {
        "zeroshot_classification": (args.classified, ["--batch_size", "64"]),
        "zeroshot_retrieval": (args.captioned, ["--batch_size", "64", "--recall_k", "1", "5", "10"]),
        "linear_probe": (args.classified, probe),
    }
    taken, numbers = {}, {}
    for task, (names, options) in tasks.items():
        module = ["-O", "-c", ON_CPU] if task == "linear_probe" else ["-m", "clip_benchmark.cli"]
        command = [sys.executable, *module, "eval", "--task", task, *common, *options]
        taken[task] = seconds([*command, "--dataset", *(f"wds/{name}" for name in names)])
        protocol = task.removesuffix("_classification").removeprefix("zeroshot_")
        for name in names:
            for key, value in json.loads((folder / f"{name}_{task}.json").read_text())["metrics"].items():
                numbers[f"{protocol}/{name}", OURS.get(key, key)] = value
    return taken, numbers


def ours(args, data, output, cache):
    tasks = [f"{protocol}/{name}" for protocol in ("zeroshot", "linear_probe") for name in args.classified]
    tasks += [f"retrieval/{name}" for name in args.captioned]
    command = [sys.executable, "-m", "mlcd_eval", "run", "--model", f"open_clip:local-dir:{args.model}"]
    command += ["--tasks", ",".join(tasks), "--data-root", str(data), "--output", str(output), "--cache", str(cache)]
    taken = seconds(command)
    return taken, {(r.task.name, m.name): m.value for r in read_all([output]) for m in r.metrics}


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
            view((args.data / f"wds_{dataset}").resolve(), data / f"wds_{dataset}")
        totals = {}
        for workers in (DEFAULT_WORKERS, 0):
            (folder / f"workers{workers}").mkdir()
            taken, numbers = theirs(args, data, folder / f"workers{workers}", workers)
            totals[workers] = sum(taken.values())
            parts = ", ".join(f"{task} {value:.1f}" for task, value in taken.items())
            print(f"clip-benchmark, {workers} workers: {totals[workers]:.1f} s ({parts})")
        runs = {
            "empty cache": ours(args, data, folder / "cold", folder / "cache"),
            "own cache, no records": ours(args, data, folder / "warm", folder / "cache"),
            "the same command again": ours(args, data, folder / "warm", folder / "cache"),
        }
    for what, (taken, found) in runs.items():
        assert found == runs["empty cache"][1], "the same numbers from the cache"
        faster = " and ".join(f"{total / taken:.1f} x" for total in totals.values())
        print(f"mlcd-eval, {what}: {taken:.1f} s, {faster} as fast")
    found = runs["empty cache"][1]
    shared = [key for key in numbers if key in found and not key[0].startswith("linear_probe")]
    apart = max(abs(numbers[key] - found[key]) for key in shared)
    print(f"{len(shared)} zero-shot and retrieval numbers of both, largest difference {apart:.1e}")
    for dataset in args.classified:
        task = f"linear_probe/{dataset}"
        print(f"{task} acc1: clip-benchmark {numbers[task, 'lp_acc1']:.4f}, mlcd-eval {found[task, 'acc1']:.4f}")


if __name__ == "__main__":
    main()
