"""`mlcd-eval demo`: a first table, of the bundled model on bundled data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.support.needs import require_torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlcd_eval.records import Result

SUITE = "minute"
OUTPUT = Path("results/runs/minute")
NEXT = """
The model is a CLIP of 6 million parameters that mlcd-train made in minutes (mlcd_eval/demo_model/README.md).
Records: {output}; as a page: mlcd-eval table {output} --format html --output report.html
Your own: mlcd-eval run --model SPEC --tasks {suite} (mlcd-eval ls models shows the forms of SPEC)"""


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "demo",
        help="evaluate the bundled model on bundled data, in a minute",
        description="Evaluate a bundled small CLIP on bundled clip art and emoji, and print the numbers beside chance.",
    )
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR", help=f"records (default {OUTPUT})")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="the feature store")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate, print the table, and return 0 if all is done, 1 if a task failed."""
    require_torch()
    from mlcd_eval.api import evaluate
    from mlcd_eval.support.bundled import demo_model_dir

    results = evaluate(
        demo_model_dir(), SUITE, output=args.output, cache=args.cache, device="cpu", offline=True, progress=True
    )
    print(table(results))
    print(NEXT.format(output=args.output, suite=SUITE))
    return 1 if any(result.status == "error" for result in results) else 0


def table(results: Sequence[Result]) -> str:
    """The metrics that each protocol shows, with 95% intervals, beside chance."""
    from mlcd_eval.tables.boards.terminal import drawing
    from mlcd_eval.tables.comparison.chance import chance
    from mlcd_eval.tables.lookup import protocol_named
    from mlcd_eval.tables.text import count, shown, shown_metric

    draw = drawing()
    rows = []
    for result in results:
        names = [metric.name for metric in result.metrics]
        names_shown = protocol_named(result.task.protocol).shown_metrics(names, result.primary_metric)
        for metric in result.metrics:
            by_chance = chance(result, metric)
            if metric.name in names_shown and by_chance is not None:
                value = [shown_metric(metric), shown(by_chance), count(metric.num_scored)]
                rows.append([draw.text(result.task.name), metric.name, *value])
        if result.status == "error":
            rows.append([draw.text(result.task.name), "failed", "-", "-", "-"])
    return draw.table(["task", "metric", "% [95% interval]", "chance", "n"], rows, 2)
