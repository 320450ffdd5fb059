"""`mlcd-eval table`: records as a leaderboard."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FORMATS = ("markdown", "html", "csv", "json", "pwc", "pwc-table")


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("table", help="records as markdown, HTML, CSV, JSON or Papers-with-Code tables")
    add = parser.add_argument
    add("paths", nargs="+", type=Path, metavar="PATH", help="records, or folders of them")
    add("--format", choices=FORMATS, default="markdown", help="pwc: evaluation-tables JSON; pwc-table: a paper's page")
    add("--baseline", metavar="NAME", help="model to show the differences from (markdown, html)")
    add(
        "--published", metavar="NAME", action="append", default=[], help="add a model's rows of papers (markdown, html)"
    )
    add("--training", metavar="RUN", type=Path, action="append", default=[], help="add a training's curves (html)")
    add("--output", type=Path, metavar="FILE", help="write here instead of to stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print or write the table."""
    from mlcd_eval.errors import ConfigError
    from mlcd_eval.fileio import write_text
    from mlcd_eval.records import read_all
    from mlcd_eval.tables.formats import render

    if args.format not in ("markdown", "html") and (args.baseline or args.published):
        raise ConfigError(f"--baseline and --published go with --format markdown or html: got --format {args.format}")
    if args.format != "html" and args.training:
        raise ConfigError(f"--training goes with --format html: got --format {args.format}")
    results = read_all(args.paths)
    if args.format == "html":
        from mlcd_eval.tables.evidence import read_examples, read_trainings
        from mlcd_eval.tables.html import report

        trainings = [stage for folder in args.training for stage in read_trainings(folder)]
        text = report(results, args.baseline, args.published, read_examples(args.paths), trainings)
    else:
        text = render(results, args.format, args.baseline, args.published)
    if args.output:
        write_text(args.output, text)
    else:
        print(text, end="")
    return 0
