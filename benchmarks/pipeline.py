"""Whole processes: zero-shot and retrieval of one model on four data sets, by clip-benchmark and by mlcd-eval.

python benchmarks/pipeline.py --model DIR --data DIR     DIR of the model: open_clip's local-dir

clip-benchmark starts once a data set, as its command does; its linear probe asserts CUDA, so that probes stand in a
line of their own, ours only. mlcd-eval runs from an empty cache, then again from its own (and with probes, which share
the encode). Prints seconds and ratios, and the largest difference between both sides' numbers.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLASSIFIED = ("openclipart", "emoji_groups")
CAPTIONED = ("emoji_captions", "stamps_captions")
OURS = {"acc1": "acc1", "acc5": "acc5", "mean_per_class_recall": "mean_per_class_recall"}
OURS |= {f"image_retrieval_recall@{k}": f"text_to_image_recall@{k}" for k in (1, 5, 10)}
OURS |= {f"text_retrieval_recall@{k}": f"image_to_text_recall@{k}" for k in (1, 5, 10)}


def seconds(command):
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def theirs(args, folder):
    total, numbers = 0.0, {}
    for task, names in (("zeroshot_classification", CLASSIFIED), ("zeroshot_retrieval", CAPTIONED)):
        for name in names:
            output = folder / f"{name}.json"
            places = ["--dataset_root", str(args.data / f"wds_{name}"), "--output", str(output)]
            options = ["--recall_k", "1", "5", "10", "--no_amp", "--num_workers", "2", "--batch_size", "64"]
            command = [sys.executable, "-m", "clip_benchmark.cli", "eval", "--model", f"local-dir:{args.model}"]
            command += ["--pretrained", "", "--dataset", f"wds/{name}", "--task", task, *places, *options]
            total += seconds(command)
            kind = "zeroshot" if task.endswith("classification") else "retrieval"
            for key, value in json.loads(output.read_text())["metrics"].items():
                if key in OURS:
                    numbers[f"{kind}/{name}", OURS[key]] = value
    return total, numbers


def ours(args, folder, tasks, cache):
    command = [
        sys.executable,
        "-m",
        "mlcd_eval",
        "run",
        "--model",
        f"open_clip:local-dir:{args.model}",
        "--tasks",
        tasks,
    ]
    command += ["--data-root", str(args.data), "--output", str(folder), "--cache", str(cache), "--no-resume"]
    taken = seconds(command)
    from mlcd_eval.records import read_all

    return taken, {(r.task.name, m.name): m.value for r in read_all([folder]) for m in r.metrics}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    args = parser.parse_args()
    tasks = ",".join([f"zeroshot/{name}" for name in CLASSIFIED] + [f"retrieval/{name}" for name in CAPTIONED])
    probes = ",".join(f"linear_probe/{name}" for name in CLASSIFIED)
    threads = os.environ.get("OMP_NUM_THREADS", "all")
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, {threads} threads")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        their_seconds, their_numbers = theirs(args, folder)
        cold, numbers = ours(args, folder / "cold", tasks, folder / "cache")
        warm, again = ours(args, folder / "warm", tasks, folder / "cache")
        both, _ = ours(args, folder / "both", f"{tasks},{probes}", folder / "other_cache")
    assert numbers == again
    shared = [key for key in their_numbers if key in numbers and their_numbers[key] == their_numbers[key]]
    apart = max(abs(their_numbers[key] - numbers[key]) for key in shared)
    print(f"clip-benchmark, four processes: {their_seconds:.1f} s")
    print(f"mlcd-eval, empty cache: {cold:.1f} s, ratio {their_seconds / cold:.1f}")
    print(f"mlcd-eval, own cache: {warm:.1f} s, ratio {their_seconds / warm:.1f}")
    print(f"mlcd-eval, empty cache, two linear probes (full sweep) too: {both:.1f} s")
    print(f"{len(shared)} numbers of both, largest difference {apart:.6f}")


if __name__ == "__main__":
    main()
