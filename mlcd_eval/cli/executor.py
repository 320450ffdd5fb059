"""The flags that choose the executor of a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from mlcd_eval.cli.request import natural, positive
from mlcd_eval.running.executors import EXECUTORS, make_executor

if TYPE_CHECKING:
    from mlcd_eval.running.executors.base import Executor

OPTIONS = ("group_cpus", "group_gpus", "slurm_partition", "slurm_hours", "slurm_cluster")


def add_executor_flags(parser: argparse.ArgumentParser) -> None:
    """Add --executor and its options."""
    add = parser.add_argument
    add(
        "--executor",
        choices=tuple(EXECUTORS),
        default="local",
        help="local (default): this process; ray, slurm: a cluster whose machines share --output and --cache; each "
        "worker gets the tasks of one model on one dataset",
    )
    add("--group-cpus", type=positive, metavar="N", help="ray, slurm: cores per worker (default 1)")
    add("--group-gpus", type=natural, metavar="N", help="ray, slurm: GPUs per worker (default 1; 0 with --device cpu)")
    add(
        "--slurm-partition",
        metavar="NAME",
        help="partition of the jobs; for other options, such as the account, set Slurm's SBATCH_ variables",
    )
    add(
        "--slurm-hours",
        type=positive,
        metavar="N",
        help="time limit of a worker (default 4), after which it is queued again and resumes",
    )
    add("--slurm-cluster", choices=("slurm", "local"), help="local: processes on this machine, without Slurm")


def executor_of(args: argparse.Namespace) -> Executor:
    """Return the executor that the flags ask for. Raises ConfigError if it is not available."""
    options = {name: getattr(args, name) for name in OPTIONS}
    return make_executor(args.executor, **{name: value for name, value in options.items() if value is not None})
