"""`mlcd-eval watch`: evaluate each new checkpoint of a training as it appears."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.cli.output import add_log_flag, add_output_flags, progress_of
from mlcd_eval.cli.request import add_encoder_flags, natural, positive
from mlcd_eval.support.needs import require_torch

if TYPE_CHECKING:
    from mlcd_eval.records import Result


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("watch", help="evaluate each new checkpoint of a training folder")
    add = parser.add_argument
    add(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="of mlcd-train, open_clip (with params.txt and checkpoints/epoch_N.pt) or transformers' Trainer "
        "(with checkpoint-N)",
    )
    add("--tasks", required=True, metavar="A,B", help="as for `mlcd-eval run`")
    add("--every", type=positive, default=60, metavar="SECONDS", help="how often to look (default 60)")
    add("--once", action="store_true", help="look once, evaluate what is new, and end, for cron")
    add("--dataset", action="append", metavar="KIND:PATH", help="your own data, then --tasks names protocols")
    add("--data-root", type=Path, metavar="DIR", help="folder of datasets; searched before the hub")
    add(
        "--output",
        type=Path,
        metavar="DIR",
        help="records, curve/log.jsonl and report.html (default results/watch/FOLDER)",
    )
    add("--seed", type=natural, metavar="N")
    add_encoder_flags(add, " per split")
    add_output_flags(parser)
    add_log_flag(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Watch until it is stopped; with --once return 0 if all is evaluated, 1 if a task failed by a bug, 2 if by its
    input."""
    require_torch()
    from mlcd_eval.request import RunRequest
    from mlcd_eval.running.result_log import ResultLog
    from mlcd_eval.running.watching import Watch
    from mlcd_eval.support.warned import collected_warnings

    name = args.folder.resolve().name
    fields = {name: getattr(args, name) for name in RunRequest.model_fields if getattr(args, name, None) is not None}
    words = {"models": (str(args.folder),), "tasks": tuple(word for word in args.tasks.split(",") if word)}
    words["datasets"] = tuple(args.dataset or ())
    output = args.output or Path("results/watch") / name
    request = RunRequest(**{**fields, **words, "output": output})
    progress, codes = progress_of(args), {0}
    with ResultLog(args.log_to or (), output, training=name) as log:
        watch = Watch(args.folder, request, log, progress)
        try:
            waiting = False
            while True:
                with collected_warnings(progress):
                    for results in watch.evaluate_new():
                        codes.add(_show(results, output))
                        waiting = False
                if args.once:
                    return 1 if 1 in codes else max(codes)
                if not waiting:
                    progress.say(f"waiting for checkpoints in {args.folder}")
                waiting = True
                time.sleep(args.every)
        finally:
            watch.close()


def _show(results: list[Result], output: Path) -> int:
    """Print the results of a checkpoint and write the report of all; return their exit code."""
    from mlcd_eval.records import read_files
    from mlcd_eval.support.fileio import write_text
    from mlcd_eval.tables.formats import render
    from mlcd_eval.tables.summary import summary

    if not results:
        return 2
    print(summary(results), flush=True)
    failed = [result for result in results if result.status == "error"]
    for result in failed:
        print(f"failed: {result.model.name} {result.task.name}: {result.error}", file=sys.stderr)
    if not failed:
        files, records = zip(*read_files([output]), strict=True)
        page = render(records, "html", paths=[output], files=files, trainings=[output])
        write_text(output / "report.html", page)
        print(f"Report: {output / 'report.html'}", flush=True)
    return (1 if any(result.traceback for result in failed) else 2) if failed else 0
