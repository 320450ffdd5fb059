"""`mlcd-eval explain`: why a record's number is not the published one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from mlcd_eval.cli.rerun import add_repeat_flags


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "explain",
        help="say why a number is not the published one",
        description="Measure a record's task in the dialects of public sources (prompts, metric ...) from "
        "the features that are kept, and say which one comes nearest to a published number, what each factor adds, and "
        "what remains unexplained.",
    )
    add = parser.add_argument
    add("path", type=Path, metavar="RUN", help="a record, or a folder with the records of one model")
    number = parser.add_mutually_exclusive_group(required=True)
    number.add_argument("--published", metavar="ROW", help="a row of `mlcd-eval ls published`, or SOURCE:GLOB")
    number.add_argument("--value", metavar="X", help="a number of a paper, as it prints it: 0.712 or 71.2")
    add("--task", metavar="TASK", help="which of several records that fit")
    add("--metric", metavar="NAME", help="the metric of the number (default: the record's primary one)")
    add("--search", action="store_true", help="try every dialect, also those that the number's source rules out")
    add("--model", metavar="SPEC", help="where the record's weights are on this machine")
    add("--cache", type=Path, metavar="DIR", help="the feature store of the run")
    add_repeat_flags(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print an explanation of each number that fits."""
    from mlcd_eval.tables.explaining.targets import targets

    file, record, numbers = targets(args.path, args.published, args.value, args.task, args.metric)

    from mlcd_eval.running.explaining.lattice import open_lattice  # imports torch
    from mlcd_eval.support.progress import ConsoleProgress
    from mlcd_eval.tables.explaining.explain import explain
    from mlcd_eval.tables.explaining.shown import as_json, as_markdown
    from mlcd_eval.tables.explaining.stated import every_point, open_points, stated_values

    given = {name: getattr(args, name) for name in ("cache", "data_root", "device")}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if args.model is not None:
        changes["models"] = (f"{record.model.name}={args.model}",)
    options = {"allow_code": args.trust_remote_code, "progress": ConsoleProgress()}
    lattice = open_lattice(record, file, changes, stated_values(numbers), **options)
    everything = every_point(lattice.factors)
    explanations = [
        explain(number, lattice, everything if args.search else open_points(number, lattice), args.search)
        for number in numbers
    ]
    print(as_json(explanations) if args.json else "\n".join(map(as_markdown, explanations)), end="")
    return 0
