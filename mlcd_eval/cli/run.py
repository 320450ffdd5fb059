"""`mlcd-eval run`: encode, score, write records, print the table."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from mlcd_eval.cli.executor import executor_of, request_parser
from mlcd_eval.cli.output import add_log_flag, add_output_flags, progress_of
from mlcd_eval.cli.request import flags_and_request
from mlcd_eval.support.needs import require_torch


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = request_parser(commands, "run", "evaluate models on tasks")
    add_output_flags(parser)
    add_log_flag(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Evaluate and print the table. Return 0 if all is done, 1 if a task failed by a bug, 2 if it failed by its input.

    The records of the other tasks are written even if one fails.
    """
    from mlcd_eval.planning.plan import make_plan
    from mlcd_eval.running.result_log import ResultLog
    from mlcd_eval.support.progress import Progress
    from mlcd_eval.support.warned import collected_warnings

    require_torch()
    flags, request = flags_and_request(args)
    executor = executor_of(flags)
    plan = make_plan(request)
    plan.raise_problems()
    leads = os.environ.get("RANK", "0") == "0"  # the other processes of torchrun print and log nothing
    log = ResultLog((getattr(flags, "log_to", None) or ()) if leads else (), request.output)

    from mlcd_eval.tables.boards.terminal import drawing
    from mlcd_eval.tables.summary import summary

    progress = progress_of(flags) if leads else Progress()
    for sentence in plan.refused.values():
        progress.say(f"left out: {sentence}")
    with collected_warnings(progress), log:
        results = executor.execute(plan, progress, log.write)
    if not leads:
        return 0
    if getattr(flags, "json", False):
        print("[" + ",\n".join(result.model_dump_json(indent=2) for result in results) + "]")
    else:
        print(summary(results, drawing()))
        print(f"Records: {request.output}")
    failed = [result for result in results if result.status == "error"]
    for result in failed:
        print(f"failed: {result.model.name} {result.task.name}: {result.error}", file=sys.stderr)
    if request.log_samples:
        from mlcd_eval.tables.report.sheet import write_sheets

        write_sheets(results, request)
    if not failed:
        return 0
    return 1 if any(result.traceback for result in failed) else 2
