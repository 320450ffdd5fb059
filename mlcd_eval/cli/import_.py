"""`mlcd-eval import`: result files of other harnesses as records."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

HARNESSES = ("clip-benchmark", "lm-eval", "lmms-eval", "vlmevalkit")


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("import", help="result files of clip-benchmark, lm-eval, lmms-eval or VLMEvalKit")
    add = parser.add_argument
    add("harness", choices=HARNESSES, metavar="HARNESS", help=", ".join(HARNESSES))
    add("files", nargs="+", type=Path, metavar="FILE", help="results (JSON, CSV), samples (JSONL), answers (XLSX)")
    add("--output", type=Path, default=Path("results/runs"), metavar="DIR")
    add("--name", metavar="MODEL", help="the model's name in the records (default: its own, with @HARNESS)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print a table of the records; on stderr what was not imported."""
    import sys

    from mlcd_eval.imports import import_results
    from mlcd_eval.tables.text import cell, count, markdown_table, shown_metric

    imported = import_results(args.harness, args.files, args.output, args.name)
    for line in imported.not_imported:
        print(f"not imported, no metric of ours: {line}", file=sys.stderr)
    rows = [
        [cell(result.model.name), result.task.name, metric.name, shown_metric(metric), count(metric.num_scored)]
        for result in imported.records
        for metric in result.metrics
    ]
    print(markdown_table(["model", "task", "metric", "%", "n"], rows, left=3))
    print(f"Records: {args.output}")
    return 0
