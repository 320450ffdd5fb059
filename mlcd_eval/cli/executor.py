"""The flags that say who carries out a run."""

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
        help="local (default): this process; ray, slurm: groups of one model's tasks on one dataset, spread over a "
        "cluster whose machines share --output and --cache",
    )
    add("--group-cpus", type=positive, metavar="N", help="ray, slurm: cores a group (default 1)")
    add("--group-gpus", type=natural, metavar="N", help="ray, slurm: GPUs a group (default 1, with --device cpu 0)")
    add("--slurm-partition", metavar="NAME", help="for all else, such as the account, set Slurm's SBATCH_ variables")
    add("--slurm-hours", type=positive, metavar="N", help="time limit of a group (default 4); then it is queued again")
    add("--slurm-cluster", choices=("slurm", "local"), help="local: processes of this machine, without Slurm")


def executor_of(args: argparse.Namespace) -> Executor:
    """The executor that the flags ask for; raises ConfigError where it cannot be had."""
    options = {name: getattr(args, name) for name in OPTIONS}
    return make_executor(args.executor, **{name: value for name, value in options.items() if value is not None})
