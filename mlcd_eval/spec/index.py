"""All known tasks and suites, and what a word of --tasks picks from them."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlcd_eval.bundled import tasks_dir
from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.spec.safe_yaml import read_yaml
from mlcd_eval.spec.task import SuiteSpec, TaskSpec, validated

GLOB_MARKS = frozenset("*?[")


@dataclass(frozen=True)
class TaskIndex:
    """Tasks by name and suites by name, in the order of their files."""

    tasks: dict[str, TaskSpec]
    suites: dict[str, SuiteSpec]

    @classmethod
    def load(cls, folder: Path | None = None) -> TaskIndex:
        """Read `<folder>/<protocol>/*.yaml` and `<folder>/suites/*.yaml` (the shipped ones by default)."""
        folder = folder or tasks_dir()
        files = sorted(folder.glob("*/*.yaml"))
        suites = [read_suite(file) for file in files if file.parent.name == "suites"]
        tasks: dict[str, TaskSpec] = {}
        for file in files:
            if file.parent.name != "suites":
                task = read_task(file)
                if task.name in tasks:
                    raise ConfigError(f"{file}: task name {task.name!r} is taken by another file under {folder}")
                tasks[task.name] = task
        return cls(tasks, {suite.name: suite for suite in suites})

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The protocols that have tasks."""
        return tuple(dict.fromkeys(task.protocol for task in self.tasks.values()))

    def select(self, words: Iterable[str]) -> list[TaskSpec]:
        """The tasks of groups, suites, names, globs and YAML files, each once, in the order asked for.

        A group leaves out tasks tagged `demo`. Raises ConfigError for a word that picks nothing, with the nearest.
        """
        chosen: dict[str, TaskSpec] = {}
        for word in words:
            for task in self._select(word):
                chosen.setdefault(task.name, task)
        return list(chosen.values())

    def _select(self, word: str) -> list[TaskSpec]:
        if word in self.suites:
            return self.select(self.suites[word].tasks)
        if word in self.groups:
            return [task for task in self.tasks.values() if task.protocol == word and "demo" not in task.tags]
        if word in self.tasks:
            return [self.tasks[word]]
        if word.endswith((".yaml", ".yml")):
            return [read_task(Path(word))]
        found = [task for task in self.tasks.values() if GLOB_MARKS & set(word) and fnmatch.fnmatch(task.name, word)]
        if not found:
            known = [*self.groups, *self.suites, *self.tasks]
            raise ConfigError(
                f"--tasks: got {word!r}, expected a group ({', '.join(self.groups)}), "
                f"a suite ({', '.join(self.suites)}), a name of `mlcd-eval ls tasks`, a glob or a YAML file"
                f"{nearest(word, known)}"
            )
        return found


def read_task(file: Path) -> TaskSpec:
    """One task file; raises ConfigError naming file and key."""
    return validated(TaskSpec, read_yaml(file), str(file))


def read_suite(file: Path) -> SuiteSpec:
    """One suite file; raises ConfigError naming file and key."""
    return validated(SuiteSpec, read_yaml(file), str(file))
