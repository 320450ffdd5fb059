"""The tasks that a word of --tasks names, each with its data.

With --data-root, a group or glob names what the folder holds: the known tasks whose data is in it, and a task for every
other data set in it that the protocol can use.
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mlcd_eval.data.base import Dataset
from mlcd_eval.data.grouped import MetadataDataset, WithGroups
from mlcd_eval.data.kinds import SCHEMES
from mlcd_eval.data.open import (
    default_name,
    discover,
    is_copy_of,
    is_slow_to_open,
    open_dataset,
    parse_reference,
    split_reference,
    with_root,
)
from mlcd_eval.data.open_set import WithOpenSet
from mlcd_eval.errors import ConfigError, DataError, IncompatibleError, nearest
from mlcd_eval.planning.job import Job, LocatedTask, located_tasks, resolved
from mlcd_eval.planning.locate import find_under, locate
from mlcd_eval.protocols.registry import PROTOCOLS
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import GLOB_MARKS, SUFFIXES, VARIANT, TaskIndex, TaskSpec, validated
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
            dataset, group = self.open(located), located.task.dataset.group
            if group is not None and isinstance(dataset, MetadataDataset):
                dataset = WithGroups(dataset, group)
            if located.needs.ood is not None:
                dataset = WithOpenSet(dataset, self._open(*self._open_set(located, located.needs.ood)))
            self._jobs[key] = resolved(located, dataset, submit=self.request.submit)
        return self._jobs[key]

    def open(self, located: LocatedTask) -> Dataset:
        """Return the task's data set. Raises UserError if it cannot be opened."""
        return self._open(located.ref, located.task.dataset.name)

    def _open(self, ref: str, name: str) -> Dataset:
        if (ref, name) not in self._datasets:
            cache, offline = self.request.cache, self.request.offline
            self._datasets[ref, name] = open_dataset(ref, cache=cache, offline=offline, name=name)
        return self._datasets[ref, name]

    def is_slow(self, located: LocatedTask) -> bool:
        """Return whether opening a task's data may touch the network or take long."""
        others = [self._open_set(located, located.needs.ood)[0]] if located.needs.ood is not None else []
        return any(is_slow_to_open(ref) for ref in (located.ref, *others))

    def _open_set(self, located: LocatedTask, word: str) -> tuple[str, str]:
        """Return the reference and the name of the data set that a task's setting `ood` means.

        Raises ConfigError for an unknown name, DataError if a known data set is nowhere.
        """
        if word.partition(":")[0] in SCHEMES:
            ref = word if self.request.data_root is None else with_root(word, self.request.data_root)
            return ref, default_name(ref)
        if word not in self.index.datasets:
            raise ConfigError(
                f"{located.name}: ood={word}: expected KIND:PATH or a name of `mlcd-eval ls datasets`"
                f"{nearest(word, self.index.datasets)}"
            )
        values = {"name": f"{located.protocol.name}/{word}", "version": 1, "protocol": located.protocol.name}
        task = validated(TaskSpec, {**values, "dataset": self.index.datasets[word]}, f"ood={word}")
        return locate(task, self.request), word

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
                f"--data-root {root} holds no data for --tasks {word}: expected folders or files in one of the forms "
                f"of `mlcd-eval ls datasets`, or folders called like its data sets"
            )
        if located:
            yield from located
            return
        for task in self.index.select([word]):
            yield from self._located(task, locate(task, self.request), word if word.endswith(SUFFIXES) else task.name)

    def _located(self, task: TaskSpec, ref: str, word: str, datasets: tuple[str, ...] = ()) -> Iterator[LocatedTask]:
        """Yield the task as `located_tasks`. word, datasets: what names it in a request of its own."""
        return located_tasks(task, ref, self.request.model_copy(update={"tasks": (word,), "datasets": datasets}))

    def _on_datasets(self, protocol: str) -> Iterator[LocatedTask]:
        """Yield a task of the protocol for each data set of --dataset."""
        if protocol not in PROTOCOLS:
            raise ConfigError(
                f"--tasks with --dataset takes protocols: got {protocol!r}, expected some of "
                f"{', '.join(PROTOCOLS)}{nearest(protocol, PROTOCOLS)}"
            )
        root = self.request.data_root
        for ref in self.request.datasets:
            known = self.index.tasks.get(f"{protocol}/{default_name(ref)}")
            is_copy = known is not None and is_copy_of(ref, known.dataset)
            task = _task_on(protocol, default_name(ref), known.dataset.sizes if known and is_copy else None)
            yield from self._located(task, ref if root is None else with_root(ref, root), protocol, (ref,))

    def _under_root(self, word: str, root: Path) -> Iterator[LocatedTask]:
        """Yield the tasks that match a group or glob and have data in the root: first the known ones, then those on
        other folders."""
        pattern = f"{word}/*" if word in PROTOCOLS else word
        protocols = fnmatch.filter(PROTOCOLS, pattern.partition("/")[0])
        data = discover(root)
        data += [(default_name(part), part) for _, ref in data for part in self._scored_parts(ref, protocols)]
        new = [
            (_task_on(protocol, name), ref) for name, ref in data for protocol in protocols if _may_use(protocol, ref)
        ]
        new = [(task, ref) for task, ref in new if fnmatch.fnmatch(task.name, pattern)]
        known = [
            (task, find_under(root, task))
            for task in self.index.tasks.values()
            if (task.protocol in protocols or fnmatch.fnmatch(task.name, pattern))
            and not (word in PROTOCOLS and VARIANT in task.tags)
        ]
        claimed = {(task.protocol, ref and _part(ref, task.settings.get("split"))) for task, ref in known}
        new = [(task, ref) for task, ref in new if (task.protocol, ref) not in claimed]
        for task, ref in [*known, *new]:
            if ref is not None and fnmatch.fnmatch(task.name, pattern):
                with contextlib.suppress(IncompatibleError):  # a retrieval folder is not an error for linear_probe
                    for located in self._located(task, ref, task.name):
                        self.job(located)
                        yield located

    def _scored_parts(self, ref: str, protocols: Sequence[str]) -> list[str]:
        """Return a reference for each split that can be scored, if each split is a separate task, else none.

        The splits are known only once the data is open, so that data that no protocol can use stays closed.
        """
        if split_reference(ref, "test") is None or not set(parse_reference(ref).scheme.kinds) & _kinds(protocols):
            return []
        splits = open_dataset(ref, cache=self.request.cache).splits
        return [part for split in splits if split != "train" and (part := split_reference(ref, split)) is not None]


def _part(ref: str, split: str | None) -> str:
    """Return the reference of the split that a task scores if each split is a separate task, else the reference."""
    return (split_reference(ref, split) if split else None) or ref


def _may_use(protocol: str, ref: str) -> bool:
    """Return whether the scheme of a reference can hold data for a protocol, which is known before it is opened."""
    return bool(set(PROTOCOLS[protocol].kinds) & set(parse_reference(ref).scheme.kinds))


def _kinds(protocols: Sequence[str]) -> set[str]:
    return {kind for name in protocols for kind in PROTOCOLS[name].kinds}


def _task_on(protocol: str, dataset: str, sizes: Sizes | None = None) -> TaskSpec:
    """Return a task on the user's own data, with the protocol's default settings."""
    data: dict[str, Any] = {"name": dataset, "sizes": sizes or {}}
    values = {"name": f"{protocol}/{dataset}", "version": 1, "protocol": protocol, "dataset": data}
    return validated(TaskSpec, values, f"dataset {dataset!r}")
