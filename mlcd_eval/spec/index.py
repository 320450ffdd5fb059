"""All known tasks and suites, and what a word of --tasks picks from them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from pathlib import Path

from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.spec.safe_yaml import read_yaml
from mlcd_eval.spec.task import SuiteSpec, TaskSpec
from mlcd_eval.spec.validated import validated
from mlcd_eval.support.bundled import tasks_dir

GLOB_MARKS = frozenset("*?[")
SUFFIXES = (".yaml", ".yml")


def read_spec(file: Path) -> TaskSpec | SuiteSpec:
    """A task file, or a suite file (which has the key `tasks`); raises ConfigError naming file and key."""
    values = read_yaml(file)
    return validated(SuiteSpec, values, str(file)) if "tasks" in values else validated(TaskSpec, values, str(file))


def spec_files(path: Path) -> list[Path]:
    """A file itself, or all YAML files below a folder, sorted; raises ConfigError where there are none."""
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES)
    if not files:
        raise ConfigError(f"{path} holds no task files: got no *.yaml below it, expected at least one")
    return files


class TaskIndex:
    """Tasks by name and suites by name, in the order of their files."""

    def __init__(self) -> None:
        self.tasks: dict[str, TaskSpec] = {}
        self.suites: dict[str, SuiteSpec] = {}
        self._files: dict[str, Path] = {}

    @classmethod
    def load(cls, extra_paths: Iterable[Path] = ()) -> TaskIndex:
        """Read the shipped files and those of `extra_paths` (files or folders).

        Raises ConfigError for a file that is not right, or two of one name.
        """
        index = cls()
        for path in (tasks_dir(), *extra_paths):
            for file in spec_files(path):
                index.add(file)
        return index

    def add(self, file: Path) -> TaskSpec | SuiteSpec:
        """Take in one file (again, if it is known); raises ConfigError where its name is another file's."""
        spec = read_spec(file)
        known = self._files.setdefault(spec.name, file)
        if known.resolve() != file.resolve():
            raise ConfigError(f"{known} and {file} are both called {spec.name!r}: expected one file a name")
        if isinstance(spec, SuiteSpec):
            self.suites[spec.name] = spec
        else:
            self.tasks[spec.name] = spec
        return spec

    @property
    def groups(self) -> tuple[str, ...]:
        """The protocols that have tasks."""
        return tuple(dict.fromkeys(task.protocol for task in self.tasks.values()))

    def select(self, words: Iterable[str]) -> list[TaskSpec]:
        """The tasks of groups, suites, names, globs and YAML files, each once, in the order asked for.

        A group leaves out tasks tagged `demo`. Raises ConfigError for a word that picks nothing, with the nearest.
        """
        return list({task.name: task for word in words for task in self._select(word)}.values())

    def _select(self, word: str) -> list[TaskSpec]:
        if word.endswith(SUFFIXES):
            spec = self.add(Path(word))
            return self._of_suite(spec) if isinstance(spec, SuiteSpec) else [spec]
        if word in self.suites:
            return self._of_suite(self.suites[word])
        return self._pick(word, "--tasks")

    def _of_suite(self, suite: SuiteSpec) -> list[TaskSpec]:
        return [task for word in suite.tasks for task in self._pick(word, f"suite {suite.name!r}")]

    def _pick(self, word: str, where: str) -> list[TaskSpec]:
        """The tasks of a group, name or glob."""
        if word in self.groups:
            return [task for task in self.tasks.values() if task.protocol == word and "demo" not in task.tags]
        if word in self.tasks:
            return [self.tasks[word]]
        found = [
            task for name, task in self.tasks.items() if GLOB_MARKS & set(word) and fnmatch.fnmatchcase(name, word)
        ]
        if not found:
            groups, suites = ", ".join(self.groups), ", ".join(self.suites)
            raise ConfigError(
                f"{where}: got {word!r}, expected a group ({groups}), a suite ({suites}), a glob, a YAML file "
                f"or a name (`mlcd-eval ls tasks`){nearest(word, [*self.groups, *self.suites, *self.tasks])}"
            )
        return found
