"""`mlcd-eval table`: records as a leaderboard."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

FORMATS = ("markdown", "csv", "json", "pwc", "pwc-table")


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("table", help="records as markdown, CSV, JSON or Papers-with-Code tables")
    add = parser.add_argument
    add("paths", nargs="+", type=Path, metavar="PATH", help="records, or folders of them")
    add("--format", choices=FORMATS, default="markdown", help="pwc: evaluation-tables JSON; pwc-table: a paper's page")
    add("--baseline", metavar="NAME", help="model from which the markdown shows the differences")
    add("--published", metavar="NAME", action="append", default=[], help="add a model's published rows (markdown)")
    add("--output", type=Path, metavar="FILE", help="write here instead of to stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print or write the table."""
    from mlcd_eval.errors import ConfigError
    from mlcd_eval.fileio import write_text
    from mlcd_eval.records import read_all
    from mlcd_eval.tables.formats import render

    if args.format != "markdown" and (args.baseline or args.published):
        raise ConfigError(f"--baseline and --published go with --format markdown: got --format {args.format}")
    text = render(read_all(args.paths), args.format, args.baseline, args.published)
    if args.output:
        write_text(args.output, text)
    else:
        print(text, end="")
    return 0
