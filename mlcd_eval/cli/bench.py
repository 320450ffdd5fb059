"""`mlcd-eval bench`: data sets as benchmarks of the Hugging Face hub."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("bench", help="declare a data set as a benchmark of the Hugging Face hub")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = actions.add_parser("init", help="write eval.yaml: the tasks of a data set as leaderboards")
    init.add_argument("dataset", metavar="DATASET", help="a data set of mlcd-eval ls datasets")
    init.add_argument("--output", type=Path, default=Path("eval.yaml"), metavar="FILE", help="(%(default)s)")
    init.add_argument("--framework", default="mlcd-eval", metavar="NAME", help="evaluation framework (%(default)s)")
    init.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the file; one that says something else is not replaced."""
    from mlcd_eval.errors import ConfigError
    from mlcd_eval.support.fileio import write_text
    from mlcd_eval.tables.submissions.benchmark import FRAMEWORKS, declaration

    text = declaration(args.dataset, args.framework)
    if args.output.exists() and args.output.read_bytes() != text.encode():
        raise ConfigError(f"{args.output} exists and says something else: give another --output")
    write_text(args.output, text)
    print(f"{args.output}: put it at the root of the data set's repository on the hub.")
    print(f"The hub refuses frameworks that are not in {FRAMEWORKS} (mlcd-eval was not, when last read),")
    print("and lists only benchmarks that its team has allowed.")
    return 0
