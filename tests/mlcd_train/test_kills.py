"""Training that is killed at random moments, on one rank and on two in turn, with workers: the losses stay the same."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from rice_scenes import write_scene

from mlcd_eval.support.progress import Progress
from mlcd_train.runlog import read_log
from mlcd_train.stages import TrainingRun

KILLS = 20
CHANGES = ("fit.steps=200", "fit.save_every=5", "fit.optimizer.warmup=5", "data.streams=2")


def kill_tree(root: int) -> None:
    """Kill a process and all below it. torchrun's workers have sessions of their own: a signal to the group leaves
    them."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in map(str.split, table.splitlines())}
    doomed = {root}
    while more := {pid for pid, parent in parents.items() if parent in doomed} - doomed:
        doomed |= more
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["clip", "rice"])
def test_losses_after_twenty_kills_on_one_and_two_ranks(make_config, unused_port, tmp_path, objective):
    changes = CHANGES
    if objective == "rice":
        regions = write_scene(tmp_path / "boxes.jsonl")
        changes += ("embed=null", "cluster=null", "assign=null", f"fit.objective={{name: rice, regions: {regions}}}")
    start = {"clip": "clip", "rice": "mlcd"}[objective]  # the file that the changes are made to
    alone = make_config(*changes, objective=start, name="alone")
    TrainingRun(alone, torch.device("cpu"), Progress()).run()
    config = make_config(*changes, objective=start, name="killed")
    chance, kills, log = random.Random(0), 0, config.output / "fit" / "log.jsonl"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(["tests", str(Path.cwd())])}
    while not (config.output / "fit" / "done.json").is_file():
        ranks = 1 + kills % 2
        command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={ranks}"]
        command += [f"--master-port={unused_port}", "-m", "mlcd_train", "run", str(make_config.path("killed"))]
        command += [word for change in (*changes, "data.workers=2") for word in ("--set", change)]
        enough = chance.randint(1, 6) + (len(read_log(log)) if log.is_file() else 0)
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            if kills < KILLS:
                while process.poll() is None and (len(read_log(log)) if log.is_file() else 0) < enough:
                    time.sleep(0.01)
                time.sleep(chance.uniform(0, 0.05))
                kill_tree(process.pid)
                kills += 1
            assert process.wait() in (0, -signal.SIGKILL)
    losses = [[line["loss"] for line in read_log(c.output / "fit" / "log.jsonl")] for c in (alone, config)]
    assert kills == KILLS and len(losses[1]) == 200
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
