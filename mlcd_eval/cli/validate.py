"""`mlcd-eval validate`: whether task files say what can be run."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.errors import ConfigError, UserError

if TYPE_CHECKING:
    from mlcd_eval.spec import DatasetSpec


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("validate", help="check task and suite files")
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: the shipped ones)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every problem, a line each; 2 if there is any."""
    from mlcd_eval.planning.job import settings_of
    from mlcd_eval.protocols.registry import get_protocol
    from mlcd_eval.spec import SuiteSpec, TaskIndex, spec_files
    from mlcd_eval.support.bundled import tasks_dir

    files = [file for path in args.paths or [tasks_dir()] for file in spec_files(path)]
    index = TaskIndex.load() if args.paths else TaskIndex()
    problems: list[str] = []
    specs = {}
    for file in files:
        with _noting(problems, file):
            specs[file] = index.add(file)
    for file, spec in specs.items():
        if isinstance(spec, SuiteSpec):
            with _noting(problems, file):
                index.select([spec.name])
        else:
            with _noting(problems, file):
                settings_of(spec, get_protocol(spec.protocol), {})
            with _noting(problems, file):
                _check_prompts(spec.dataset)
    for problem in problems:
        print(problem)
    print(f"{len(files)} files, {len(problems)} problems")
    return 2 if problems else 0


def _check_prompts(dataset: DatasetSpec) -> None:
    """Whether the references to class names and templates mean something, and one name a class."""
    from mlcd_eval.data.prompts import resolve

    own_names, own_templates = ("class",) * (dataset.num_classes or 1), ("{c}",)  # as if the folder had both
    names = resolve(own_names, own_templates, dataset.class_names, dataset.templates, dataset.name).class_names
    if dataset.num_classes not in (None, len(names)):
        raise ConfigError(f"'dataset.class_names' has {len(names)} names, expected num_classes, {dataset.num_classes}")


@contextlib.contextmanager
def _noting(problems: list[str], file: Path) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        problems += [line if str(file) in line else f"{file}: {line}" for line in str(error).splitlines()]
