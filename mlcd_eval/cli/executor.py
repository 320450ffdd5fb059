"""The flags that choose the executor of a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from mlcd_eval.cli.request import add_request_flags, choice, natural, positive
from mlcd_eval.running.executors import EXECUTORS, make_executor

if TYPE_CHECKING:
    from mlcd_eval.running.executors.base import Executor

OPTIONS = ("group_cpus", "group_gpus", "slurm_partition", "slurm_hours", "slurm_minutes", "slurm_cluster")


def request_parser(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    """Return the parser of a command that takes a whole request, and where it is executed."""
    usage = f"mlcd-eval {name} --model [NAME=]SPEC --tasks A,B [FLAGS]"
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, usage=usage, argument_default=argparse.SUPPRESS
    )
    add_request_flags(parser)
    add_executor_flags(parser)
    return parser


def add_executor_flags(parser: argparse.ArgumentParser) -> None:
    """Add --executor and its options."""
    add = parser.add_argument_group("on a cluster, whose machines share --output and --cache").add_argument
    choice(add, "--executor", tuple(EXECUTORS), "(local: this process)")
    add("--group-cpus", type=positive, metavar="N", help="cores per worker (1)")
    add("--group-gpus", type=natural, metavar="N", help="GPUs per worker (1; 0 with --device cpu)")
    add("--slurm-partition", metavar="NAME", help="for other options set SBATCH_ variables")
    add("--slurm-hours", type=positive, metavar="N", help="limit of a worker, which then resumes (4)")
    add("--slurm-minutes", type=positive, metavar="N", help="the same in minutes, at least 3 advised")
    choice(add, "--slurm-cluster", ("slurm", "local"), "local: processes here, without Slurm")


def executor_of(args: argparse.Namespace) -> Executor:
    """Return the executor that the flags ask for. Raises ConfigError if it is not available."""
    options = {name: getattr(args, name, None) for name in OPTIONS}
    given = {name: value for name, value in options.items() if value is not None}
    return make_executor(getattr(args, "executor", "local"), **given)
