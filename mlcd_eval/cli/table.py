"""`mlcd-eval table`: records and published numbers as a leaderboard."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

BOARDS = ("markdown", "html", "latex")
SITE = ("pwc", "pwc-table", "pwc-submission")
RECORDS = ("csv", "json", "model-index", "eval-results")


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("table", help="records and published numbers as tables of many formats")
    add = parser.add_argument
    add("paths", nargs="*", type=Path, metavar="PATH", help="records, or folders of them")
    add(
        "--format",
        choices=(*BOARDS, *SITE, *RECORDS),
        default="markdown",
        help="pwc: evaluation-tables JSON; pwc-table: a paper's page; pwc-submission: requests of its client; "
        "model-index, eval-results: YAML of the Hugging Face hub",
    )
    add("--baseline", metavar="NAME", help="model to show the differences from (markdown, html, latex)")
    add(
        "--published",
        metavar="NAME",
        action="append",
        default=[],
        help="add a model's rows of papers; MODEL=NAME: beside the model of the records that reproduces it",
    )
    add(
        "--published-group",
        metavar="GROUP",
        action="append",
        default=[],
        help="a paper's table of `mlcd-eval ls published`, with the records of its tasks",
    )
    add("--training", metavar="RUN", type=Path, action="append", default=[], help="add a training's curves (html)")
    add("--output", type=Path, metavar="FILE", help="write here instead of to stdout")
    add("--push-to-hub", metavar="ORG/NAME", help="write the records of one model to this repository's model card")
    add("--dry-run", action="store_true", help="with --push-to-hub: only print what would be written")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print or write the table."""
    from mlcd_eval.records import read_all
    from mlcd_eval.support.fileio import write_text
    from mlcd_eval.tables.formats import render

    _check(args)
    results = read_all(args.paths)
    if args.push_to_hub:
        from mlcd_eval.tables.hub import push_to_hub

        text = push_to_hub(results, args.push_to_hub, args.dry_run)
    elif args.format == "html":
        from mlcd_eval.tables.report.examples import read_examples
        from mlcd_eval.tables.report.html import report
        from mlcd_eval.tables.report.trainings import read_trainings

        trainings = [stage for folder in args.training for stage in read_trainings(folder)]
        examples = read_examples(args.paths)
        text = report(results, args.baseline, args.published, args.published_group, examples, trainings)
    else:
        text = render(results, args.format, args.baseline, args.published, args.published_group)
    if args.output:
        write_text(args.output, text)
    else:
        print(text, end="")
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise ConfigError for flags that do not go together."""
    from mlcd_eval.errors import ConfigError

    numbers = args.published or args.published_group
    if args.baseline and args.format not in BOARDS:
        raise ConfigError(f"--baseline goes with --format {_any(BOARDS)}: got --format {args.format}")
    if numbers and args.format in RECORDS:
        wanted = _any((*BOARDS, *SITE))
        raise ConfigError(f"--published and --published-group go with --format {wanted}: got --format {args.format}")
    if args.training and args.format != "html":
        raise ConfigError(f"--training goes with --format html: got --format {args.format}")
    if args.dry_run and not args.push_to_hub:
        raise ConfigError("--dry-run goes with --push-to-hub ORG/NAME")
    if args.push_to_hub and (numbers or args.baseline or args.format != "markdown"):
        raise ConfigError("--push-to-hub writes a model card: it goes with no --format, --baseline or --published")
    if not args.paths and not numbers:
        raise ConfigError("expected PATH of records, --published NAME or --published-group GROUP")


def _any(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
