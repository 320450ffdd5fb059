"""`mlcd-eval power`: how many images it takes to tell two models apart."""

from __future__ import annotations

import argparse
from typing import Any

from mlcd_eval.cli.compare import add_sides, compared


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "power", help="how many test images it takes to tell two models apart, and what difference those at hand show"
    )
    add_sides(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a row per task."""
    from mlcd_eval.tables.boards.terminal import drawing
    from mlcd_eval.tables.comparison.power import as_json, as_text

    comparison = compared(args, "power")
    print(as_json(comparison) if args.json else as_text(comparison, drawing()), end="")
    return 0
