"""`mlcd-eval compare`: two models on the same samples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.cli.table import count

if TYPE_CHECKING:
    from mlcd_eval.tables.comparison.compare import Comparison


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "compare", help="test two models against each other on the same samples, by every metric"
    )
    add_sides(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with charts to this file instead")
    parser.add_argument(
        "--examples",
        metavar="N",
        type=count,
        default=0,
        help="with --html: N images of each classification task that A knows and B does not, and the other way round, "
        "from where the record says that its data is",
    )
    parser.set_defaults(run=run)


def add_sides(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name two models, and --json."""
    add = parser.add_argument
    add(
        "paths",
        nargs="+",
        type=Path,
        metavar="PATH",
        help="A and B, folders OUTPUT/MODEL; or OUTPUT with --model twice, or of two models",
    )
    add("--model", metavar="NAME", action="append", default=[], help="folder in OUTPUT: A's first, then B's")
    add("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print the comparison, or write its page."""
    from mlcd_eval.errors import ConfigError
    from mlcd_eval.tables.boards.terminal import drawing
    from mlcd_eval.tables.comparison.compare import as_json
    from mlcd_eval.tables.comparison.text import as_text

    if args.html and args.json:
        raise ConfigError("compare prints JSON or writes a page: got --json and --html, expected one of them")
    if args.examples and not args.html:
        raise ConfigError(f"--examples {args.examples} goes with --html FILE")
    comparison = compared(args, "compare")
    if args.html:
        from mlcd_eval.support.fileio import write_text
        from mlcd_eval.tables.report.two_models import comparison_page

        write_text(args.html, comparison_page(comparison, examples=args.examples))
        return 0
    print(as_json(comparison) if args.json else as_text(comparison, drawing()), end="")
    return 0


def compared(args: argparse.Namespace, command: str) -> Comparison:
    """Return the comparison of the two models of `add_sides`."""
    from mlcd_eval.tables.comparison.compare import compare
    from mlcd_eval.tables.comparison.pairing import load_side

    first, second = _folders(command, args.paths, args.model)
    return compare(load_side(first), load_side(second))


def _folders(command: str, paths: list[Path], models: list[str]) -> list[Path]:
    from mlcd_eval.errors import ConfigError, nearest
    from mlcd_eval.records.store import models_of

    if (len(paths), len(models)) == (2, 0):
        return paths
    known = models_of(paths[0])
    if len(paths) == 1 and not models and len(known) == 2:
        models = known
    if (len(paths), len(models)) != (1, 2):
        of_output = f" (it holds {len(known)} models)" if len(paths) == 1 and not models else ""
        raise ConfigError(
            f"{command} takes two folders OUTPUT/MODEL, or one OUTPUT with --model twice or of two models: "
            f"got {len(paths)}{of_output} and --model {len(models)} times"
        )
    for name in models:
        if name not in known:
            raise ConfigError(
                f"--model: got {name!r}, expected a folder in {paths[0]}: {', '.join(known)}{nearest(name, known)}"
            )
    return [paths[0] / name for name in models]
