"""`mlcd-eval validate`: whether the files of data sets, tasks and suites describe what can be run, and whether records
can be believed."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcd_eval.errors import ConfigError, UserError

if TYPE_CHECKING:
    from mlcd_eval.spec import DatasetSpec, TaskIndex, TaskSpec


def add_parser(commands: Any) -> None:
    """Register the command."""
    parser = commands.add_parser("validate", help="check records, and the files of data sets, tasks and suites")
    parser.add_argument(
        "paths",
        nargs="*",
        default=[],
        type=Path,
        metavar="PATH",
        help="YAML files or records, or folders of either (default: the shipped files)",
    )
    parser.add_argument(
        "--data-root", type=Path, metavar="DIR", help="folder of datasets: also check the files against their data"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one line per problem, and for records one per doubt; 2 if there is a problem."""
    from mlcd_eval.records import record_files

    of_records = [path for path in args.paths if _holds_records(path)]
    files = [file for path in of_records for file in (record_files(path) if path.is_dir() else [path])]
    problems = [problem for file in files for problem in _problems_of_record(file)]
    if len(of_records) < len(args.paths) or not args.paths:
        specs, of_specs = _check_specs([path for path in args.paths if path not in of_records], args.data_root)
        files, problems = [*files, *specs], [*problems, *of_specs]
    for problem in problems:
        print(problem)
    print(f"{len(files)} files, {len(problems)} problems")
    return 2 if problems else 0


def _holds_records(path: Path) -> bool:
    """Whether a file, or all files of a folder that could be either, are records."""
    if not path.is_dir():
        return path.suffix == ".json"
    return not any(path.rglob("*.y*ml")) and any(path.rglob("*.json"))


def _problems_of_record(file: Path) -> list[str]:
    """Read a record, print what is doubtful about it, and return what is wrong."""
    from mlcd_eval.records import read
    from mlcd_eval.tables.plausible import contradictions, doubts

    problems: list[str] = []
    with _noting(problems, file):
        result = read(file)
        for doubt in doubts(result):
            print(f"{file}: to be looked at: {doubt}")
        problems += [f"{file}: {problem}" for problem in contradictions(result)]
    return problems


def _check_specs(paths: Sequence[Path], data_root: Path | None) -> tuple[list[Path], list[str]]:
    """The files of data sets, tasks and suites at the paths, and what is wrong with them."""
    from mlcd_eval.spec import DatasetSpec, SuiteSpec, TaskIndex, spec_files
    from mlcd_eval.support.bundled import demo_data_dir, tasks_dir

    files = spec_files(paths or [tasks_dir()])
    index = TaskIndex.load() if paths else TaskIndex()
    roots = [*([data_root] if data_root else []), demo_data_dir()]
    problems: list[str] = []
    specs = {}
    for file in files:
        with _noting(problems, file):
            specs[file] = index.add(file)
    for file, spec in specs.items():
        if isinstance(spec, SuiteSpec):
            with _noting(problems, file):
                index.select([spec.name])
        elif isinstance(spec, DatasetSpec):
            with _noting(problems, file):
                _check_is_used(spec, index)
        else:
            for check in (_check_protocol, _check_prompts, _check_num_classes):
                with _noting(problems, file):
                    check(spec, index)
            with _noting(problems, file):
                _check_data(spec, roots)
    return files, list(dict.fromkeys(problems))


def _check_is_used(dataset: DatasetSpec, index: TaskIndex) -> None:
    """A file that no task names is forgotten or its name is misspelt."""
    if not any(task.dataset.name == dataset.name for task in index.tasks.values()):
        raise ConfigError(f"no task is on the data set {dataset.name!r}, expected at least one")


def _check_protocol(task: TaskSpec, index: TaskIndex) -> None:
    """Whether the protocol exists, has these settings, and scores data of this kind."""
    from mlcd_eval.planning.job import settings_of
    from mlcd_eval.planning.swept import each_value
    from mlcd_eval.protocols.registry import get_protocol

    protocol = get_protocol(task.protocol)
    for _, values in each_value(protocol, task.settings, f"settings of {task.name}"):
        settings_of(task, protocol, values)
    if task.dataset.kind not in (None, *protocol.kinds):
        expected = f"{' or '.join(protocol.kinds)} for the protocol {task.protocol}"
        raise ConfigError(f"'dataset.kind' is {task.dataset.kind!r}, expected {expected}")


def _check_prompts(task: TaskSpec, index: TaskIndex) -> None:
    """Whether the references to class names and templates are known, and there is one name per class."""
    from mlcd_eval.data.prompts import resolve

    data = task.dataset
    names_of_folder, templates_of_folder = ("class",) * (data.num_classes or 1), ("{c}",)  # as if it had both files
    prompts = resolve(names_of_folder, templates_of_folder, data.class_names, data.templates, data.name)
    if data.num_classes not in (None, len(prompts.class_names)):
        raise ConfigError(
            f"'dataset.class_names' has {len(prompts.class_names)} names, expected num_classes, {data.num_classes}"
        )


def _check_num_classes(task: TaskSpec, index: TaskIndex) -> None:
    """Whether the data set's file and its other tasks have the same number of classes."""
    data = task.dataset
    others = [(f"the data set {data.name}", index.datasets[data.name])] if data.name in index.datasets else []
    others += [(other.name, other.dataset) for other in index.tasks.values() if other.dataset.name == data.name]
    for name, other in others:
        if None not in (data.num_classes, other.num_classes) and data.num_classes != other.num_classes:
            raise ConfigError(f"'dataset.num_classes' is {data.num_classes}, expected {other.num_classes} as of {name}")


def _check_data(task: TaskSpec, roots: Sequence[Path]) -> None:
    """Whether the data is of the kind and has the classes that the task says, where it is on this machine."""
    from mlcd_eval.data.open import find_dataset, is_slow_to_open, open_dataset

    data = task.dataset
    under_roots = (find_dataset(root, data, task.settings.get("split")) for root in roots)
    ref = next((ref for ref in under_roots if ref), None) or data.reference()
    if ref is None or is_slow_to_open(ref):
        return
    dataset = open_dataset(ref, name=data.name)
    if data.kind not in (None, dataset.kind):
        raise ConfigError(f"'dataset.kind' is {data.kind!r}, expected {dataset.kind}, the kind of {ref}")
    classes = dataset.class_names
    if None not in (data.num_classes, classes) and data.num_classes != len(classes or ()):
        raise ConfigError(
            f"'dataset.num_classes' is {data.num_classes}, expected {len(classes or ())}, the class names of {ref}"
        )


@contextlib.contextmanager
def _noting(problems: list[str], file: Path) -> Iterator[None]:
    try:
        yield
    except UserError as error:
        problems += [line if str(file) in line else f"{file}: {line}" for line in str(error).splitlines()]
