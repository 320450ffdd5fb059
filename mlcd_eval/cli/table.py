"""`mlcd-eval table`: records and published numbers as tables."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from mlcd_eval.tables.formats import FORMATS, ROWS, By, Option


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("table", help="records and published numbers as tables of many formats")
    add = parser.add_argument
    add("paths", nargs="*", default=[], type=Path, metavar="PATH", help="records, or folders of them")
    add(
        "--format",
        choices=tuple(FORMATS),
        help="; ".join(f"{name}: {_help(name)}" for name in FORMATS)
        + " (default: terminal on a terminal, else markdown)",
    )
    add("--baseline", metavar="NAME", help=f"model to show the differences from ({', '.join(_taking('baseline'))})")
    add(
        "--published",
        metavar="NAME",
        action="append",
        default=[],
        help="add a model's published rows; SOURCE:GLOB, such as 'open_clip:*': those of one source; MODEL=NAME: "
        "beside the model of the records that reproduces it",
    )
    add(
        "--published-group",
        metavar="GROUP",
        action="append",
        default=[],
        help="a table of `mlcd-eval ls published`, with the records of its tasks",
    )
    add(
        "--suite",
        metavar="NAME",
        action="append",
        default=[],
        help="a table of the tasks of a suite, each by its own metric, with the mean over all of them if its authors "
        "print one and no task lacks a value",
    )
    add(
        "--chance",
        action="store_true",
        help="add chance levels, where known, and each model's mean of (value - chance) / (1 - chance); tables "
        "of --suite have both",
    )
    add(
        "--nearest",
        metavar="N",
        type=count,
        help="add the rank of each record among the published models that were measured in the same way, and the N "
        f"nearest ({', '.join(_taking('nearest'))})",
    )
    add("--by", choices=get_args(By), default="value", help="with --nearest: what makes models near (default: value)")
    add(
        "--training",
        metavar="RUN",
        type=Path,
        action="append",
        default=[],
        help=f"add the curves of a training ({', '.join(_taking('training'))})",
    )
    add(
        "--group",
        metavar="REGEX",
        help="what tells the seeds of a model apart in its name, so that they are also shown as mean and deviation "
        f"(default: _seed and a number; {', '.join(_taking('group'))})",
    )
    add("--output", type=Path, metavar="FILE", help="write to this file instead of stdout")
    add("--push-to-hub", metavar="ORG/NAME", help="write the records of one model to this repository's model card")
    add(
        "--allow-partial",
        action="store_true",
        help="take records of --limit in formats for others, marked",
    )
    add("--dry-run", action="store_true", help="with --push-to-hub: only print what would be written")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print or write the table."""
    shown = sys.stdout.isatty() and not args.output and not args.push_to_hub
    args.format = args.format or ("terminal" if shown else "markdown")
    _check(args)

    from mlcd_eval.records import read_files
    from mlcd_eval.support.fileio import write_text
    from mlcd_eval.tables.formats import TableInput, pieces

    pairs = read_files(args.paths)
    results = [result for _, result in pairs]
    if args.push_to_hub:
        from mlcd_eval.tables.hub import push_to_hub

        text: Iterable[str] = (push_to_hub(results, args.push_to_hub, args.dry_run, args.allow_partial),)
    else:
        table = TableInput(
            results,
            args.paths,
            [file for file, _ in pairs],
            args.baseline,
            args.published,
            args.published_group,
            args.training,
            args.nearest,
            args.by,
            args.group,
            args.suite,
            args.chance,
        )
        text = pieces(args.format, table, args.allow_partial)
    if args.output:
        write_text(args.output, text)
    else:
        for piece in text:
            print(piece, end="")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise ConfigError for flags that do not go together."""
    from mlcd_eval.errors import ConfigError

    numbers = args.published or args.published_group
    given: dict[Option, tuple[str, Any]] = {
        "baseline": ("--baseline goes", args.baseline),
        "published": ("--published and --published-group go", numbers),
        "training": ("--training goes", args.training),
        "nearest": ("--nearest goes", args.nearest),
        "group": ("--group goes", args.group),
        "suite": ("--suite goes", args.suite),
        "chance": ("--chance goes", args.chance),
    }
    for option, (flag, value) in given.items():
        if value and option not in FORMATS[args.format].takes:
            raise ConfigError(f"{flag} with --format {_any(_taking(option))}: got --format {args.format}")
    if args.group is not None:
        from mlcd_eval.tables.comparison.seeds import pattern

        pattern(args.group)
    if args.dry_run and not args.push_to_hub:
        raise ConfigError("--dry-run goes with --push-to-hub ORG/NAME")
    if args.push_to_hub and (numbers or args.nearest or args.baseline or args.format != "markdown"):
        raise ConfigError("--push-to-hub writes a model card: it goes with no --format, --baseline or --published")
    if args.by != "value" and not args.nearest:
        raise ConfigError(f"--by {args.by} goes with --nearest N")
    if args.nearest and not args.paths:
        raise ConfigError("--nearest N goes with PATH of records")
    if not args.paths and not numbers:
        raise ConfigError("expected PATH of records, --published NAME or --published-group GROUP")


def count(text: str) -> int:
    """A number of at least 1; argparse turns the ValueError into its own message."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number of at least 1")
    return int(text)


def _help(name: str) -> str:
    """A format's own words; of a format that another package adds, which is not imported for this, its package."""
    return ROWS[name].help if name in ROWS else f"of the package {FORMATS.package(name)}"


def _taking(option: Option) -> list[str]:
    """The formats of this package that an option means something to."""
    return [name for name, row in ROWS.items() if option in row.takes]


def _any(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]
