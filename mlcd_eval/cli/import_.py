"""`mlcd-eval import`: result files of other harnesses as records."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlcd_eval.records import Result


class _Help(argparse.RawDescriptionHelpFormatter):
    """The help with the harnesses at its end, of which those of other packages are imported only now."""

    def format_help(self) -> str:
        from mlcd_eval.imports.registry import HARNESSES

        rows = ((name, HARNESSES[name]) for name in HARNESSES)
        lines = [f"  {name} ({row.version})\n    {row.files}\n" for name, row in rows]
        return super().format_help() + "\nharnesses, the version that is known, and what is read:\n" + "".join(lines)


def add_parser(commands: Any) -> None:
    """Register the command."""
    from mlcd_eval.imports.registry import HARNESSES

    parser = commands.add_parser(
        "import",
        help="result files of other harnesses as records",
        description="Result files of other harnesses as records. What is not certain is not imported, and listed.",
        formatter_class=_Help,
    )
    add = parser.add_argument
    add("harness", choices=HARNESSES, metavar="HARNESS", help="whose files they are; see below")
    add("files", nargs="+", type=Path, metavar="FILE", help="result files (of mteb also folders)")
    add("--output", type=Path, default=Path("results/runs"), metavar="DIR", help="where the records go (%(default)s)")
    add("--name", metavar="MODEL", help="the model's name in the records (default: its own, with @HARNESS)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a table of the records' primary metrics; on stderr what was not imported."""
    import sys

    from mlcd_eval.imports.importing import import_results
    from mlcd_eval.tables.text import markdown_table

    imported = import_results(args.harness, args.files, args.output, args.name)
    for line in imported.left_out:
        print(f"not imported: {line}", file=sys.stderr)
    rows = [row for result in imported.records for row in _shown(result)]
    print(markdown_table(["model", "task", "metric", "value", "unit", "n"], rows, left=3))
    print(f"Records: {args.output}")
    return 0


def _shown(result: Result) -> Iterator[list[str]]:
    from mlcd_eval.tables.lookup import protocol_named
    from mlcd_eval.tables.text import cell, count, shown_metric

    names = [metric.name for metric in result.metrics]
    shown = protocol_named(result.task.protocol).shown_metrics(names, result.primary_metric)
    for metric in result.metrics:
        if metric.name in shown:
            unit = "%" if metric.unit == "fraction" else metric.unit
            named = [cell(result.model.name), result.task.name, metric.name]
            yield [*named, shown_metric(metric), unit, count(metric.num_scored)]
