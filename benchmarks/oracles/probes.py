"""The probe and clustering dialects against their sources on tiny_clip: mteb's draw by mteb itself, scikit-learn fitted
to the end, clip_benchmark's own code.

python benchmarks/oracles/probes.py --data DIR --model DIR --mteb-python PYTHON [--work DIR] NAME...

NAME: folders of DIR in clip-benchmark's layout with train and test. Prints one line per comparison; exit status 1 if
one fails. OMP_NUM_THREADS=1 is set, since features are rounded by threads.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from clip_benchmark.metrics import linear_probe as clip_benchmark_probe
from safetensors.numpy import load_file
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, f1_score, normalized_mutual_info_score, recall_score

from mlcd_eval.cli import main as mlcd_eval
from mlcd_eval.protocols.classification.draws import mteb_shots

DRAW = """
import json, sys, types
from datasets import Dataset
from mteb.abstasks import AbsTaskClassification as Task
labels = json.load(sys.stdin)
task = types.SimpleNamespace(seed=42, samples_per_label=16, label_column_name="label")
rows, order = [], None
for experiment in range(5):
    _, order, chosen = Task._undersample_data(task, Dataset.from_dict({"label": labels}), experiment, order)
    rows.append(chosen)
json.dump(rows, sys.stdout)
"""
"""mteb's own code, run by its own Python."""

FAILED: list[str] = []


class Cuda(str):
    """The CPU, which says that it is CUDA, as clip_benchmark asks for."""

    def __eq__(self, other: object) -> bool:
        return other in ("cpu", "cuda")

    __hash__ = str.__hash__


def report(what: str, ours: object, theirs: object, same: bool) -> None:
    """Print a comparison."""
    print(f"{'same' if same else 'DIFFERENT':9}  {what:56}  ours {ours!s:20}  theirs {theirs!s}", flush=True)
    if not same:
        FAILED.append(what)


def run(arguments: list[str]) -> None:
    """Run a command of this package without its output."""
    with contextlib.redirect_stdout(io.StringIO()):
        assert mlcd_eval(arguments) == 0, arguments


def features(work: Path, model: str, data: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Projected features and labels of a split, as `mlcd-eval encode` writes them."""
    path = work / f"{Path(data).name}.{split}.safetensors"
    run(["encode", "--model", model, "--dataset", data, "--split", split, "--layer", "projected", "--device", "cpu",
         "--cache", str(work / "cache"), "--output", str(path), "--offline", "--quiet"])  # fmt: skip
    contents = load_file(path)
    return contents["features"], contents["labels"] if "labels" in contents else contents["label"]


def scored(work: Path, model: str, data: str, protocol: str, dialect: str) -> tuple[dict, dict]:
    """Our record and samples in a dialect."""
    out = work / f"{Path(data).name}.{dialect}"
    run(["run", "--model", model, "--dataset", data, "--tasks", protocol, "--set", f"dialect={dialect}", "--offline",
         "--cache", str(work / "cache"), "--output", str(out), "--device", "cpu", "--log-samples"])  # fmt: skip
    (record,) = out.glob(f"*/{protocol}__*.json")
    (samples,) = out.glob(f"*/samples/{protocol}__*.jsonl")
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    contents = json.loads(record.read_text())
    metrics = {metric["name"]: metric["value"] for metric in contents["metrics"]}
    return {"metrics": metrics, "details": contents["details"]}, {key: [row[key] for row in rows] for key in rows[0]}


def mteb(name: str, ours: tuple[dict, dict], train: tuple, test: tuple, python: str) -> None:
    """The draw by mteb's own code, and scikit-learn fitted to the end on it."""
    (x, y), (test_x, test_y) = train, test
    drawn = subprocess.run(
        [python, "-c", DRAW], input=json.dumps(y.tolist()), capture_output=True, text=True, check=True
    )
    theirs = json.loads(drawn.stdout)
    own = [rows.tolist() for rows in mteb_shots(y, 16, 5, np.random.default_rng(), 0)]
    report(f"{name} mteb: samples of 5 trials, in order", sum(map(len, own)), sum(map(len, theirs)), own == theirs)
    predicted = []
    for rows in theirs:
        fit = LogisticRegression(C=1.0, tol=1e-10, max_iter=100_000).fit(x[rows].astype(float), y[rows])
        predicted.append(fit.predict(test_x.astype(float)))
    mine = np.array(ours[1]["prediction"]).T
    off = int((mine != np.stack(predicted)).sum())
    report(f"{name} mteb: predictions unlike those of converged fits", off, 0, off == 0)
    for metric, value in {
        "acc1": np.mean([(trial == test_y).mean() for trial in predicted]),
        "macro_recall": np.mean([recall_score(test_y, trial, average="macro", zero_division=0) for trial in predicted]),
        "macro_f1": np.mean([f1_score(test_y, trial, average="macro", zero_division=0) for trial in predicted]),
    }.items():
        own_value = ours[0]["metrics"][metric]
        report(f"{name} mteb: {metric}", f"{own_value:.12f}", f"{value:.12f}", abs(own_value - value) < 1e-10)
    stopped = [LogisticRegression(max_iter=100).fit(x[rows], y[rows]) for rows in theirs]
    value = np.mean([(fit.predict(test_x) == test_y).mean() for fit in stopped])
    print(f"{'':9}  {name} mteb: accuracy of fits stopped after 100 iterations in float32, as mteb's: {value:.12f}")


def clip_benchmark(name: str, ours: tuple[dict, dict], train: tuple, test: tuple, work: Path) -> None:
    """clip_benchmark's evaluate, kept on the CPU, on the same features."""
    cache = work / "clip_benchmark" / name / "model"
    cache.mkdir(parents=True, exist_ok=True)
    for split, (x, y) in (("train", train), ("test", test)):
        torch.save(torch.nn.functional.normalize(torch.tensor(x), dim=-1), cache / f"features_{split}.pt")
        torch.save(torch.tensor(y), cache / f"targets_{split}.pt")
    torch.Tensor.cuda = torch.nn.Module.cuda = lambda self: self
    torch.manual_seed(0)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        theirs = clip_benchmark_probe.evaluate(
            torch.nn.Identity(), None, None, -1, 64, 0, 0.1, 10, "model", 0, str(cache.parent), Cuda("cpu"), amp=False
        )
    for metric in ("acc1", "acc5", "mean_per_class_recall"):
        own, value = ours[0]["metrics"][metric], theirs[f"lp_{metric}"]
        report(f"{name} clip_benchmark: {metric}", f"{own:.12f}", f"{value:.12f}", abs(own - value) < 1e-7)


def clustering(name: str, ours: tuple[dict, dict], test: tuple) -> None:
    """scikit-learn's MiniBatchKMeans on the same features."""
    x, y = test
    clusters = MiniBatchKMeans(len(set(y.tolist())), batch_size=500, n_init="auto", random_state=42).fit(x).labels_
    off = int((np.array(ours[1]["cluster"]) != clusters).sum())
    report(f"{name} clustering: samples in another cluster", off, 0, off == 0)
    for metric, function in (("nmi", normalized_mutual_info_score), ("ari", adjusted_rand_score)):
        own, value = ours[0]["metrics"][metric], function(y, clusters)
        report(f"{name} clustering: {metric}", f"{own:.12f}", f"{value:.12f}", abs(own - value) < 1e-12)


def main() -> int:
    """Compare every data set."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--mteb-python", required=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("names", nargs="+")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        work = args.work or Path(temporary)
        model = f"open_clip:local-dir:{args.model}"
        for name in args.names:
            data = f"wds:{args.data / name}"
            train, test = (features(work, model, data, split) for split in ("train", "test"))
            mteb(name, scored(work, model, data, "linear_probe", "mteb"), train, test, args.mteb_python)
            clip_benchmark(name, scored(work, model, data, "linear_probe", "clip-benchmark"), train, test, work)
            clustering(name, scored(work, model, data, "clustering", "mteb"), test)
    print(f"{len(FAILED)} differences")
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
