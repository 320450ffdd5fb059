"""All known data sets, tasks and suites, and what a word of --tasks picks from them."""

from __future__ import annotations

import difflib
import fnmatch
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.spec.task import DatasetSpec, SuiteSpec, TaskSpec
from mlcd_eval.spec.validated import validated
from mlcd_eval.support.bundled import tasks_dir
from mlcd_eval.support.documents import read_yaml

GLOB_MARKS = frozenset("*?[")
SUFFIXES = (".yaml", ".yml")
DATASETS_FOLDER = "datasets"
"""The name of a folder whose files describe data sets; all other files describe tasks or suites."""
SOURCE_KEYS = ("hub", "ref", "revision", "how")
"""The keys that together say where the data comes from: a task that sets another source takes none of them."""

VARIANT = "variant"
OUTSIDE_GROUPS = frozenset({"demo", "apart", VARIANT})
"""Tags of tasks that the name of a protocol does not mean: on bundled data; `apart`, those with dozens of records or
data that no copy on the hub has, which are named themselves (or found under a data root); and `variant`, those on data
of which another task measures the same otherwise."""

Spec = DatasetSpec | TaskSpec | SuiteSpec


def read_spec(file: Path, datasets: Mapping[str, DatasetSpec]) -> Spec:
    """The contents of a data set's file, a suite file (which has the key `tasks`) or a task file.

    datasets: those that a task file may name. Raises ConfigError naming file and key.
    """
    values = read_yaml(file)
    if _describes_dataset(file):
        return validated(DatasetSpec, values, str(file))
    if "tasks" in values:
        return validated(SuiteSpec, values, str(file))
    return validated(TaskSpec, _with_facts(values, datasets, file), str(file))


def spec_files(paths: Iterable[Path]) -> list[Path]:
    """The files themselves and all YAML files below folders, sorted per path, those of data sets first, so that tasks
    can name them. Raises ConfigError for a folder without any."""
    files: list[Path] = []
    for path in paths:
        below = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES) if path.is_dir() else [path]
        if not below:
            raise ConfigError(f"{path} holds no task files: got no *.yaml below it, expected at least one")
        files += below
    return sorted(files, key=lambda file: not _describes_dataset(file))


def _describes_dataset(file: Path) -> bool:
    return file.parent.name == DATASETS_FOLDER


def _with_facts(values: Mapping[str, Any], datasets: Mapping[str, DatasetSpec], file: Path) -> Mapping[str, Any]:
    """A task file's values, its `dataset` with the facts of the known data set of that name; its own keys win."""
    data = values.get("dataset")
    if isinstance(data, str):
        if data not in datasets:
            raise ConfigError(
                f"{file}: 'dataset' is {data!r}, expected a name of `mlcd-eval ls datasets` or a mapping of the data "
                f"set's facts{nearest(data, datasets)}"
            )
        return {**values, "dataset": datasets[data]}
    if not isinstance(data, dict) or data.get("name") not in [*datasets]:
        return values
    facts = datasets[data["name"]].model_dump(exclude_unset=True)
    if "hub" in data or "ref" in data:
        facts = {key: value for key, value in facts.items() if key not in SOURCE_KEYS}
    return {**values, "dataset": {**facts, **data}}


class TaskIndex:
    """Data sets, tasks and suites by name, in the order of their files."""

    def __init__(self) -> None:
        self.datasets: dict[str, DatasetSpec] = {}
        self.tasks: dict[str, TaskSpec] = {}
        self.suites: dict[str, SuiteSpec] = {}
        self._files: dict[tuple[type[Spec], str], Path] = {}

    @classmethod
    def load(cls, extra_paths: Iterable[Path] = ()) -> TaskIndex:
        """Read the shipped files and those of `extra_paths` (files or folders).

        Raises ConfigError for a file that is not valid and for two files of one name.
        """
        index, shipped = cls(), _shipped()
        index.datasets, index.tasks = dict(shipped.datasets), dict(shipped.tasks)
        index.suites, index._files = dict(shipped.suites), dict(shipped._files)
        for file in spec_files(extra_paths):
            index.add(file)
        return index

    def add(self, file: Path) -> Spec:
        """Read one file, again if it is known; raises ConfigError where another file has its name."""
        spec = read_spec(file, self.datasets)
        known = self._files.setdefault((type(spec), spec.name), file)
        if known.resolve() != file.resolve():
            raise ConfigError(f"{known} and {file} are both called {spec.name!r}: expected one file per name")
        if isinstance(spec, DatasetSpec):
            self.datasets[spec.name] = spec
        elif isinstance(spec, SuiteSpec):
            self.suites[spec.name] = spec
        else:
            self.tasks[spec.name] = spec
        return spec

    @property
    def groups(self) -> tuple[str, ...]:
        """The protocols that have tasks."""
        return tuple(dict.fromkeys(task.protocol for task in self.tasks.values()))

    def select(self, words: Iterable[str]) -> list[TaskSpec]:
        """The tasks of groups, suites, names, globs and YAML files, each once, in the order of the words.

        A group leaves out tasks with a tag of OUTSIDE_GROUPS. Raises ConfigError for a word that picks nothing, with
        the nearest.
        """
        return list({task.name: task for word in words for task in self._select(word)}.values())

    def _select(self, word: str) -> list[TaskSpec]:
        if word.endswith(SUFFIXES):
            spec = self.add(Path(word))
            if isinstance(spec, DatasetSpec):
                raise ConfigError(f"--tasks: {word} describes a data set, expected a task or suite file")
            return self._of_suite(spec) if isinstance(spec, SuiteSpec) else [spec]
        if word in self.suites:
            return self._of_suite(self.suites[word])
        return self._pick(word, "--tasks")

    def _of_suite(self, suite: SuiteSpec) -> list[TaskSpec]:
        return [task for word in suite.tasks for task in self._pick(word, f"suite {suite.name!r}")]

    def _pick(self, word: str, where: str) -> list[TaskSpec]:
        """The tasks of a group, name or glob."""
        if word in self.groups:
            of_group = (task for task in self.tasks.values() if task.protocol == word)
            return [task for task in of_group if not OUTSIDE_GROUPS & set(task.tags)]
        if word in self.tasks:
            return [self.tasks[word]]
        is_glob = bool(GLOB_MARKS & set(word))
        tasks = [task for name, task in self.tasks.items() if is_glob and fnmatch.fnmatchcase(name, word)]
        if not tasks:
            groups, suites = ", ".join(self.groups), ", ".join(self.suites)
            raise ConfigError(
                f"{where}: got {word!r}, expected a group ({groups}), a suite ({suites}), a glob, a YAML file "
                f"or a name (`mlcd-eval ls tasks`){self._meant(word)}"
            )
        return tasks

    def _meant(self, word: str) -> str:
        """The hint with the nearest name; a data set's name without a protocol means the tasks on it."""
        if "/" in word:
            return nearest(word, self.tasks)
        on_data: dict[str, list[str]] = {name: [name] for name in (*self.groups, *self.suites)}
        for name in self.tasks:
            on_data.setdefault(name.partition("/")[2], []).append(name)
        close = difflib.get_close_matches(word.lower(), on_data, n=1, cutoff=0.5)
        return f" (did you mean {' or '.join(map(repr, on_data[close[0]]))}?)" if close else ""


@functools.cache
def _shipped() -> TaskIndex:
    """The index of this package's own files, which a process reads once."""
    index = TaskIndex()
    for file in spec_files([tasks_dir()]):
        index.add(file)
    return index
