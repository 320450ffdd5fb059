"""The tasks that a word of --tasks names, each with its data.

With --data-root, a group or glob names what the folder holds: the known tasks whose data is in it, and a task for every
other data set in it that the protocol can use.
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from mlcd_eval.data import discover, open_dataset
from mlcd_eval.data.base import Dataset
from mlcd_eval.data.open import default_name, refer_parts
from mlcd_eval.errors import ConfigError, DataError, IncompatibleError, nearest
from mlcd_eval.planning.job import Job, LocatedTask, located_task, resolved
from mlcd_eval.planning.locate import find_under, locate, open_located
from mlcd_eval.protocols.registry import PROTOCOLS
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import GLOB_MARKS, TaskIndex, TaskSpec, validated
from mlcd_eval.spec.task import Sizes


class Selection:
    """The tasks of one request. Each data set is opened once and each task is resolved once; both are kept."""

    def __init__(self, request: RunRequest) -> None:
        self.request = request
        self.index = TaskIndex.load()
        self._datasets: dict[tuple[str, str], Dataset] = {}
        self._jobs: dict[tuple[str, str], Job] = {}

    def job(self, located: LocatedTask) -> Job:
        """Return the task as a job. Raises UserError if its data cannot be opened or the protocol cannot use it."""
        key = (located.name, located.ref)
        if key not in self._jobs:
            self._jobs[key] = resolved(located, self.open(located), submit=self.request.submit)
        return self._jobs[key]

    def open(self, located: LocatedTask) -> Dataset:
        """Return the task's data set. Raises UserError if it cannot be opened."""
        key = (located.ref, located.task.dataset.name)
        if key not in self._datasets:
            self._datasets[key] = open_located(located.ref, located.task.dataset, self.request)
        return self._datasets[key]

    def tasks(self, word: str) -> Iterator[LocatedTask]:
        """Yield the tasks that one word of --tasks names. Raises UserError if there are none."""
        root = self.request.data_root
        if self.request.datasets:
            yield from self._on_datasets(word)
            return
        located = list(self._under_root(word, root)) if root is not None and word not in self.index.tasks else []
        many = word in PROTOCOLS or bool(GLOB_MARKS & set(word))
        if many and not located and root is not None:
            raise DataError(
                f"--data-root {root} holds no data for --tasks {word}: expected folders in clip-benchmark's layout, "
                f"such as those that `mlcd-eval ls datasets` lists"
            )
        if located:
            yield from located
            return
        for task in self.index.select([word]):
            yield self._located(task, locate(task.dataset, self.request))

    def _located(self, task: TaskSpec, ref: str) -> LocatedTask:
        return located_task(task, ref, self.request.settings)

    def _on_datasets(self, protocol: str) -> Iterator[LocatedTask]:
        """Yield a task of the protocol for each data set of --dataset."""
        if protocol not in PROTOCOLS:
            raise ConfigError(
                f"--tasks with --dataset takes protocols: got {protocol!r}, expected some of "
                f"{', '.join(PROTOCOLS)}{nearest(protocol, PROTOCOLS)}"
            )
        for ref in self.request.datasets:
            task = _task_on(protocol, default_name(ref), _sizes_of_path(protocol, ref, self.index))
            yield self._located(task, _with_images(ref, self.request.data_root))

    def _under_root(self, word: str, root: Path) -> Iterator[LocatedTask]:
        """Yield the tasks that match a group or glob and have data in the root: first the known ones, then those on
        other folders."""
        pattern = f"{word}/*" if word in PROTOCOLS else word
        data = discover(root)
        if fnmatch.filter(["refcoco"], pattern.partition("/")[0]):  # each split is a task, known once the data is open
            split_refs = [split_ref for _, ref in data if _is_refer(ref) for split_ref in self._scored_refs(ref)]
            data += [(default_name(ref), ref) for ref in split_refs]
        new = [(_task_on(protocol, name), ref) for name, ref in data for protocol in PROTOCOLS]
        new = [(task, ref) for task, ref in new if fnmatch.fnmatch(task.name, pattern)]
        protocols = {task.protocol for task, _ in new}  # a known task of these may claim a folder
        known = [
            (task, find_under(root, task.dataset))
            for task in self.index.tasks.values()
            if task.protocol in protocols or fnmatch.fnmatch(task.name, pattern)
        ]
        claimed = {(task.protocol, f"{ref}/{task.settings['split']}" if _is_refer(ref) else ref) for task, ref in known}
        new = [(task, ref) for task, ref in new if (task.protocol, ref) not in claimed]
        for task, ref in [*known, *new]:
            if ref is not None and fnmatch.fnmatch(task.name, pattern):
                with contextlib.suppress(IncompatibleError):  # a retrieval folder is not an error for linear_probe
                    located = self._located(task, ref)
                    self.job(located)
                    yield located

    def _scored_refs(self, ref: str) -> list[str]:
        """Return a reference for each split of a refer data set that can be scored."""
        splits = open_dataset(ref, cache=self.request.cache).splits
        return [f"{ref}/{split}" for split in splits if split != "train"]


def _is_refer(ref: str | None) -> bool:
    return ref is not None and ref.startswith("refer:")


def _with_images(ref: str, root: Path | None) -> str:
    """Return a DocVQA file's reference with the data root as its folder of images, if it does not name one."""
    return f"{ref}?{urlencode({'images': root})}" if ref.startswith("docvqa:") and root and "?" not in ref else ref


def _task_on(protocol: str, dataset: str, sizes: Sizes | None = None) -> TaskSpec:
    """Return a task on the user's own data, with the protocol's default settings."""
    data: dict[str, Any] = {"name": dataset, "sizes": sizes or {}}
    values = {"name": f"{protocol}/{dataset}", "version": 1, "protocol": protocol, "dataset": data}
    return validated(TaskSpec, values, f"dataset {dataset!r}")


def _sizes_of_path(protocol: str, ref: str, index: TaskIndex) -> Sizes:
    """Return the sizes of a known task's data if a refer path has the same name and split, else none."""
    known = index.tasks.get(f"{protocol}/{default_name(ref)}")
    if known is None or not _is_refer(ref):
        return {}
    _, _, split_by, _ = refer_parts(ref.removeprefix("refer:"))
    return known.dataset.sizes if known.dataset.split_by == split_by else {}
