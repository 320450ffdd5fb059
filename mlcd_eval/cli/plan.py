"""`mlcd-eval plan`: show what would run and what is missing, without loading anything heavy."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from mlcd_eval.cli.executor import executor_of, request_parser
from mlcd_eval.cli.request import flags_and_request


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = request_parser(commands, "plan", "show what `run` with the same flags would do, and what is missing")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per job, then every problem. Return 2 if there are problems, else 0."""
    from mlcd_eval.planning.disk import kept_features
    from mlcd_eval.planning.plan import make_plan

    flags, request = flags_and_request(args)
    executor_of(flags)
    plan = make_plan(request)
    rows = [
        {
            "model": model,
            "task": task.name,
            "data": task.ref,
            "record": str(path),
            "done": path.is_file(),
        }
        for model, task, path in plan.records()
    ]
    kept = kept_features(plan)
    left_out = list(plan.refused.values()) if plan.request.skip_incompatible else []
    if getattr(flags, "json", False):
        features = [asdict(each) for each in kept]
        print(
            json.dumps({"jobs": rows, "features": features, "left_out": left_out, "problems": plan.problems}, indent=2)
        )
        return 2 if plan.problems else 0
    for row in rows:
        print(f"{row['model']}  {row['task']}  {row['data']}{'  (has a record)' if row['done'] else ''}")
    for each in kept:
        print(each.in_words())
    for sentence in left_out:
        print(f"left out: {sentence}")
    for problem in plan.problems:
        print(f"problem: {problem}")
    print(f"jobs: {len(rows)}, problems: {len(plan.problems)}; records go to {plan.request.output}")
    return 2 if plan.problems else 0
