"""Kill an evaluation of the demo tasks and a training with SIGKILL, resume them, and check that nothing is lost.

python benchmarks/crashes.py [--kills 50] [--train-kills 20] [--tasks A,B] [--seed 0]

A life is one output folder with its cache. Runs in it are killed and started again until one completes. Its records or
weights must then equal those of an undisturbed run, and the next life begins. Kills first come at random times, then
half as many come right before random changes of the disk (opening a file to write, renaming, removing), which random
times rarely hit. Before each new start, files with a temporary name that a killed run left are filled with garbage, so
that reading them would be noticed. A run is a forked child whose imports are already done, so that kills hit real work.
"""

import argparse
import collections
import contextlib
import json
import mmap
import os
import random
import re
import select
import shutil
import signal
import sys
import tempfile
import time
from functools import partial, wraps
from importlib import import_module
from pathlib import Path

import torch
import yaml
from safetensors import safe_open

import mlcd_eval.cli
import mlcd_train.cli
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, save_checkpoint
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.features import encode, lazy
from mlcd_eval.features.store import Entry
from mlcd_eval.records import ResultStore
from mlcd_eval.running import dataset as dataset_run
from mlcd_eval.running import run
from mlcd_eval.spec import TaskIndex
from mlcd_eval.support.bundled import demo_data_dir
from mlcd_train import stages
from mlcd_train.fit import new_model
from mlcd_train.state import TrainingState

TRAINED = ("attentive_probe", "refcoco", "docvqa")
"""Probes that train, with their controls, for longer than all else takes: most kills would hit that training, which
writes nothing before its record; reading features, scoring and writing are what the other tasks do."""
TASKS = ",".join(task.name for task in TaskIndex.load().select(["demo"]) if task.protocol not in TRAINED)
VISION = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 2, "heads": 2}
TEXT = {"context_length": 16, "width": 32, "depth": 1, "heads": 2}
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir"}  # audit events, besides files opened to write
KILLED = -signal.SIGKILL


class Stage:
    """The name of what a child is doing, in memory shared with this process."""

    def __init__(self):
        self._memory = mmap.mmap(-1, 64)

    def __str__(self):
        return self._memory[:].rstrip(b"\0").decode()

    def set(self, name):
        self._memory[:] = name.encode()[:64].ljust(64, b"\0")

    def during(self, owner, attribute, name):
        """Set `name` while owner.attribute runs."""
        function = getattr(owner, attribute)

        @wraps(function)
        def watched(*arguments, **options):
            before = str(self)
            self.set(name)
            try:
                return function(*arguments, **options)
            finally:
                self.set(before)

        setattr(owner, attribute, watched)


STAGE = Stage()
for owner, attribute, name in (
    (run, "_scan", "check data"),
    (lazy, "load_encoder", "load model"),
    (encode, "_encode_chunks", "encode"),
    (Entry, "join_parts", "join parts"),
    (dataset_run, "encode_texts", "encode texts"),
    (dataset_run.DatasetRun, "score", "score"),
    (ResultStore, "write", "write record"),
    *((stages.TrainingRun, f"_{stage}", stage) for stage in ("embed", "cluster", "assign", "fit", "lit", "export")),
    (TrainingState, "save", "save state"),
    (TrainingState, "load", "load state"),
    (stages, "save_checkpoint", "save checkpoint"),
):
    STAGE.during(owner, attribute, name)


def start(command, folder, kill_before=None, count=None):
    """Fork a child that runs command() in the folder, and return its id.

    kill_before: the number of the change of the disk right before which it is killed. count: receives the number of
    changes.
    """
    if pid := os.fork():
        return pid
    os.chdir(folder)
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    changes = 0

    def audit(event, arguments):
        nonlocal changes
        opened = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if not opened and event not in CHANGES:
            return
        changes += 1
        if changes == kill_before:
            path = Path(str(arguments[1 if event == "os.rename" else 0]))
            kind = "temporary" if path.suffix == ".tmp" else re.sub(r"[0-9a-f]{8,}|[0-9]+", "#", path.name)
            STAGE.set(f"{'open' if opened else event.removeprefix('os.')} {kind[:30]}")
            os.kill(os.getpid(), signal.SIGKILL)

    STAGE.set("start")
    sys.addaudithook(audit)
    code = 1
    try:
        code = command()
    finally:
        if count is not None:
            count.set(str(changes))
            Path("modules.json").write_text(json.dumps(sorted(sys.modules)))
        os._exit(code)


def finish(pid, seconds=None):
    """Wait for a child, kill it after `seconds`, and return its exit code, which is KILLED if it was killed."""
    with contextlib.closing(os.fdopen(os.pidfd_open(pid))) as ended:
        if seconds is not None and not select.select([ended], [], [], seconds)[0]:
            os.kill(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def poison(folder):
    """Fill files with a temporary name with garbage, and return how many there are."""
    temporary = [
        path for path in folder.rglob("*") if path.is_file() and ".tmp" in "/".join(path.parts[len(folder.parts) :])
    ]
    for path in temporary:
        path.write_bytes(b"garbage" * 9)
    return len(temporary)


def undisturbed(command, folder, result):
    """Run once without a kill. Return the result, the seconds it took and the number of changes of the disk."""
    folder.mkdir()
    count, started = Stage(), time.perf_counter()
    code = finish(start(command, folder, count=count))
    if code != 0:
        raise SystemExit((folder / "log.txt").read_text())
    seconds = time.perf_counter() - started
    for name in json.loads((folder / "modules.json").read_text()):  # so that later children need not import them
        with contextlib.suppress(Exception):
            import_module(name)
    return result(folder), seconds, int(str(count))


def lives(title, command, root, result, expected, kills, draw):
    """Kill runs, life after life, until there are `kills` kills. Return whether all results were as expected.

    draw: returns the next kill as the arguments of `start` and `finish`.
    """
    root.mkdir()
    killed, stages_hit, number, starts, equal, left_over, at_end = 0, collections.Counter(), 0, 0, 0, 0, 0
    while killed < kills:
        number += 1
        folder = root / str(number)
        folder.mkdir()
        while True:
            before, seconds = draw() if killed < kills else (None, None)
            starts += 1
            code = finish(start(command, folder, before), seconds)
            if code != KILLED:
                break
            killed += 1
            stages_hit[str(STAGE)] += 1
            left_over += poison(folder)
        good = code == 0 and result(folder) == expected
        equal += good
        unfinished = [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".old"))]
        at_end += len(unfinished)
        print(*(f"LEFT: life {number}: {path.relative_to(folder)}\n" for path in unfinished), sep="", end="")
        if not good:
            print(f"NOT EQUAL: life {number}, exit code {code}, kept in {folder}:")
            print((folder / "log.txt").read_text()[-2000:])
        else:
            shutil.rmtree(folder)
    print(f"{title}: {killed} kills, {number} lives, {starts} starts, {equal} of {number} results equal")
    print(f"  killed during: {', '.join(f'{name} {times}' for name, times in stages_hit.most_common())}")
    print(f"  {left_over} temporary files left by kills and filled with garbage, {at_end} left at the end of a life")
    return equal == number


def records(folder):
    """Every record by file name, without times, environment and the checksum over them."""
    by_name = {}
    for path in sorted((folder / "out").rglob("*.json")):
        if not path.name.startswith("."):
            record = json.loads(path.read_text())
            del record["timing"], record["environment"], record["efficiency"], record["checksum"]
            by_name[path.name] = record
    assert by_name and all(record["status"] == "ok" for record in by_name.values())
    return by_name


def weights(folder):
    """The contents of the checkpoints and of the files that they were made from."""
    labels = ("labels.json", "buckets.npy", "rows_00000.npy")
    names = ("model.safetensors", "config.json", "centres.safetensors", "done.json", *labels)
    files = [path for path in sorted((folder / "out").rglob("*")) if path.name in names and "state" not in path.parts]
    assert len(files) == 16
    return {str(path.relative_to(folder)): _contents(path) for path in files}


def _contents(path):
    """The bytes of a file, or of each tensor of a safetensors file, since the order of the metadata is random."""
    if path.suffix != ".safetensors":
        return path.read_bytes()
    with safe_open(path, framework="pt") as file:
        return file.metadata(), {name: file.get_tensor(name).numpy().tobytes() for name in file.keys()}  # noqa: SIM118


def evaluation(root, tasks):
    """A function that evaluates the small model by the command line."""
    words = ["run", "--model", str(root / "small"), "--tasks", tasks, "--device", "cpu"]
    return lambda: mlcd_eval.cli.main([*words, "--output", "out", "--cache", "cache"])


def training(root):
    """A function that trains MLCD with LiT on the features of the small model by the command line."""
    loop = {"batch_size": 8, "steps": 60, "save_every": 5, "log_every": 5, "optimizer": {"lr": 1e-3, "warmup": 10}}
    config = {
        "name": "trained",
        "output": "out",
        "cache": "cache",
        "device": "cpu",
        "data": {"train": f"wds:{demo_data_dir() / 'wds_demo_captions'}", "shuffle": 50},
        "embed": {"model": str(root / "small")},
        "cluster": {"k": 20},
        "assign": {"labels": 3},
        "model": {"vision": VISION, "embed_dim": 16},
        "fit": {**loop, "objective": {"name": "mlcd"}, "ema": 0.9},
        "lit": {**loop, "text": TEXT},
    }
    (root / "train.yaml").write_text(yaml.safe_dump(config))
    return lambda: mlcd_train.cli.main(["run", str(root / "train.yaml")])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50, help="kills of the evaluation (0: none)")
    parser.add_argument("--train-kills", type=int, default=20, help="kills of the training (0: none)")
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.set_num_threads(1)
    encode.CHUNK = 64  # the most images that a kill can cost, so that runs make progress
    root = Path(tempfile.mkdtemp(prefix="crashes_"))
    shape = CheckpointConfig(vision=VISION, text=TEXT, embed_dim=16, preprocess=Preprocess(image_size=32))
    save_checkpoint(root / "small", new_model(shape, 0, torch.device("cpu")))
    good = True
    for name, make, result, kills in (
        ("evaluation", partial(evaluation, tasks=args.tasks), records, args.kills),
        ("training", training, weights, args.train_kills),
    ):
        if kills == 0:
            continue
        command, rng = make(root), random.Random(f"{args.seed} {name}")
        expected, seconds, changes = undisturbed(command, root / name, result)
        print(f"{name}, undisturbed: {seconds:.1f} s, {changes} changes of the disk, {len(expected)} files compared")
        for way, times, draw in (
            ("at random times", kills, lambda: (None, rng.uniform(0, seconds / 2))),  # noqa: B023
            ("before random changes of the disk", kills // 2, lambda: (rng.randrange(1, changes // 3), None)),  # noqa: B023
        ):
            title = f"{name}, killed {way}"
            good &= lives(title, command, root / f"{name} {way}", result, expected, times, draw)
            sys.stdout.flush()
    if good:
        shutil.rmtree(root)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
