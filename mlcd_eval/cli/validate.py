"""`mlcd-eval validate`: whether task files say what can be run."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("validate", help="check task and suite files")
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: the shipped ones)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every problem, a line each; 2 if there is any."""
    from mlcd_eval.bundled import tasks_dir

    paths = args.paths or [tasks_dir()]
    files = [file for path in paths for file in (sorted(path.rglob("*.y*ml")) if path.is_dir() else [path])]
    problems = [problem for file in files for problem in _problems(file)]
    for problem in problems:
        print(problem)
    print(f"{len(files)} files, {len(problems)} problems")
    return 2 if problems or not files else 0


def _problems(file: Path) -> Iterator[str]:
    from mlcd_eval.data import prompts
    from mlcd_eval.errors import UserError
    from mlcd_eval.locate import settings_of
    from mlcd_eval.spec import TaskIndex
    from mlcd_eval.spec.index import read_suite, read_task

    try:
        if file.parent.name == "suites":
            TaskIndex.load().select(read_suite(file).tasks)
            return
        task = read_task(file)
        settings_of(task)
        data = task.dataset
        if data.class_names is not None or data.templates is not None:
            prompts.resolve(("a class",), ("{c}",), data.class_names, data.templates, data.name)
    except UserError as error:
        message = str(error)
        yield message if str(file) in message else f"{file}: {message}"
