"""Which tasks a word of --tasks stands for, and where the data of each is.

A task's data is looked for under --data-root (by the dataset's names), then in the package (demo data), then on the hub
or at the task's own reference (unless --offline). A group or glob with --data-root means what is there: the known tasks
whose data it holds, and every other folder in clip-benchmark's layout that the protocol can use.
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel

from mlcd_eval.data import discover, find, find_docvqa, find_refer, open_dataset
from mlcd_eval.data.base import AnnotatedDataset, Dataset, Question
from mlcd_eval.data.open import default_name, refer_parts
from mlcd_eval.data.prompts import Prompts, resolve
from mlcd_eval.errors import ConfigError, DataError, IncompatibleError, nearest
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol
from mlcd_eval.request import RunRequest
from mlcd_eval.spec import GLOB_MARKS, DatasetSpec, TaskIndex, TaskSpec, validated
from mlcd_eval.spec.task import Sizes
from mlcd_eval.support.bundled import demo_data_dir

HUB = "https://huggingface.co/datasets"
_HOW = "put a folder in clip-benchmark's layout under --data-root, or give `ref: KIND:PATH` under `dataset:`"
Located = tuple[TaskSpec, str]
"""A task and the reference of its data."""


def expand(word: str, request: RunRequest, index: TaskIndex) -> Iterator[Located]:
    """The tasks of one word of --tasks, each with where its data is; raises UserError if there is none."""
    if request.datasets:
        if word not in PROTOCOLS:
            raise ConfigError(
                f"--tasks with --dataset takes protocols: got {word!r}, expected some of "
                f"{', '.join(PROTOCOLS)}{nearest(word, PROTOCOLS)}"
            )
        for ref in request.datasets:
            own = _own_task(word, default_name(ref), _sizes_of_path(word, ref, index))
            yield own, _with_images(ref, request.data_root)
        return
    many = word in PROTOCOLS or bool(GLOB_MARKS & set(word))
    found = list(_under_root(word, request, index)) if request.data_root is not None and word not in index.tasks else []
    if many and not found and request.data_root is not None:
        raise DataError(
            f"--data-root {request.data_root} holds no data for --tasks {word}: expected folders in "
            f"clip-benchmark's layout, such as those that `mlcd-eval ls datasets` names"
        )
    yield from found or [(task, locate(task.dataset, request)) for task in index.select([word])]


def _with_images(ref: str, root: Path | None) -> str:
    """A DocVQA file's reference with the data root as a folder of its images, where it names none."""
    return f"{ref}?{urlencode({'images': root})}" if ref.startswith("docvqa:") and root and "?" not in ref else ref


def _under_root(word: str, request: RunRequest, index: TaskIndex) -> Iterator[Located]:
    """The tasks matching a group or glob that the root's data can serve: the known ones, then its other folders."""
    root = request.data_root
    assert root is not None
    pattern = f"{word}/*" if word in PROTOCOLS else word
    found = discover(root)
    if fnmatch.filter(["refcoco"], pattern.partition("/")[0]):  # each split is a task; only opening tells which
        found += [(default_name(one), one) for _, ref in found if _is_refer(ref) for one in _scored_refs(ref, request)]
    own = [(_own_task(protocol, name), ref) for name, ref in found for protocol in PROTOCOLS]
    own = [(task, ref) for task, ref in own if fnmatch.fnmatch(task.name, pattern)]
    protocols = {task.protocol for task, _ in own}  # of which a known task may claim a folder
    known = [
        (task, find_under(root, task.dataset))
        for task in index.tasks.values()
        if task.protocol in protocols or fnmatch.fnmatch(task.name, pattern)
    ]
    claimed = {(task.protocol, f"{ref}/{task.settings['split']}" if _is_refer(ref) else ref) for task, ref in known}
    own = [(task, ref) for task, ref in own if (task.protocol, ref) not in claimed]
    for task, ref in [*known, *own]:
        if ref is not None and fnmatch.fnmatch(task.name, pattern):
            with contextlib.suppress(IncompatibleError):  # a retrieval folder is no reason to refuse linear_probe
                check_fit(
                    task, settings_of(task, request.settings), open_located(ref, task.dataset, request), request.submit
                )
                yield task, ref


def locate(dataset: DatasetSpec, request: RunRequest) -> str:
    """The reference of a dataset's data; raises DataError saying what to put where if it is nowhere."""
    for root in (request.data_root, demo_data_dir()):
        ref = find_under(root, dataset) if root is not None else None
        if ref is not None:
            return ref
    remote = f"wds:{HUB}/{dataset.hub}" if dataset.hub else dataset.ref
    where = f"--data-root {request.data_root}" if request.data_root else "no --data-root"
    if remote is None:
        raise DataError(f"dataset {dataset.name} is not there (got {where}) and has no hub copy: {dataset.how or _HOW}")
    if request.offline and _is_elsewhere(remote):
        raise DataError(f"dataset {dataset.name} is not there (got {where}) and --offline forbids its copy at {remote}")
    return remote


def _is_elsewhere(ref: str) -> bool:
    """Whether its files are on the network. torchvision's are here, but for `download=true`, which opening refuses."""
    kind, _, where = ref.partition(":")
    folder = Path(where.partition("?")[0]).expanduser()
    return ref.startswith("wds:http") or (kind in ("hf", "hf-vqa") and not folder.is_dir())


def _is_refer(ref: str | None) -> bool:
    return ref is not None and ref.startswith("refer:")


def _scored_refs(ref: str, request: RunRequest) -> list[str]:
    """A reference for each split of a refer data set that can be scored."""
    splits = open_dataset(ref, cache=request.cache).splits
    return [f"{ref}/{split}" for split in splits if split != "train"]


def find_under(root: Path, dataset: DatasetSpec) -> str | None:
    """The reference of a task's data below a folder, None where it is not there."""
    if dataset.kind == "refer" and dataset.split_by:
        return find_refer(root, dataset.name, dataset.split_by)
    if dataset.kind == "docvqa":
        found = [find_docvqa(root, dataset.name, split) for split in dataset.sizes or ("val",)]
        return found[0]
    return find(root, _names(dataset))


def is_remote(ref: str) -> bool:
    """Whether opening it may touch the network or take its time (torchvision loads what it opens)."""
    return ref.startswith(("wds:http", "hf:", "hf-vqa:", "torchvision:"))


def open_located(ref: str, dataset: DatasetSpec, request: RunRequest) -> Dataset:
    """Open a located dataset under the name that its task gives it."""
    return open_dataset(ref, cache=request.cache, offline=request.offline, name=dataset.name)


def check_fit(task: TaskSpec, settings: BaseModel, dataset: Dataset, submit: bool = False) -> None:
    """Raise IncompatibleError unless the protocol can use the dataset, DataError where it is not the one meant.

    submit: answers are to be written, not scored.
    """
    protocol = get_protocol(task.protocol)
    if dataset.kind not in protocol.kinds:
        raise IncompatibleError(
            f"{task.name} cannot use a {dataset.kind} dataset: expected {' or '.join(protocol.kinds)}"
        )
    protocol.requests(settings, dataset.splits)
    if not submit:
        check_answers(task.name, dataset, protocol.scored_split(settings, dataset.splits))
    prompts_of(task, dataset)
    expected, names = task.dataset.num_classes, dataset.class_names
    if expected is not None and names is not None and len(names) != expected:
        raise DataError(
            f"classnames.txt of {dataset.name} has {len(names)} names: expected {expected}, as {task.name} says"
        )


def check_answers(task: str, dataset: Dataset, split: str) -> None:
    """Raise IncompatibleError for questions whose answers are not public: there is nothing to score."""
    if dataset.kind == "docvqa" and isinstance(dataset, AnnotatedDataset):
        questions = [one for one in dataset.annotations(split) if isinstance(one, Question)]
        if any(one.answers is None for one in questions):
            raise IncompatibleError(
                f"{task}: the answers of the split {split!r} are not in its file, nothing to score: run with "
                f"--submit to write the answers for the benchmark's server, or choose a split with answers"
            )


def prompts_of(task: TaskSpec, dataset: Dataset) -> Prompts | None:
    """Class names and templates of a protocol that fills prompts, None for others; raises UserError without them."""
    if not get_protocol(task.protocol).needs_text or dataset.kind == "retrieval":
        return None
    spec = task.dataset
    return resolve(dataset.class_names, dataset.templates, spec.class_names, spec.templates, dataset.name)


def settings_of(task: TaskSpec, changes: Mapping[str, Any] | None = None) -> BaseModel:
    """The task's settings in its protocol's form, with those changes that it knows; raises ConfigError naming the task
    and the key."""
    form = get_protocol(task.protocol).Settings
    known = {key: value for key, value in (changes or {}).items() if key in form.model_fields}
    return validated(form, {**task.settings, **known}, f"settings of {task.name}")


def _own_task(protocol: str, dataset: str, sizes: Sizes | None = None) -> TaskSpec:
    """A task on the user's own data: the protocol's default settings."""
    data = {"name": dataset, "sizes": sizes or {}}
    values = {"name": f"{protocol}/{dataset}", "version": 1, "protocol": protocol, "dataset": data}
    return validated(TaskSpec, values, f"dataset {dataset!r}")


def _sizes_of_path(protocol: str, ref: str, index: TaskIndex) -> Sizes:
    """The sizes of a known task's data, where a refer path has its name and is split as it is."""
    known = index.tasks.get(f"{protocol}/{default_name(ref)}")
    if known is None or not _is_refer(ref):
        return {}
    _, _, split_by, _ = refer_parts(ref.removeprefix("refer:"))
    return known.dataset.sizes if known.dataset.split_by == split_by else {}


def _names(dataset: DatasetSpec) -> list[str]:
    """What the dataset's folder may be called under a data root."""
    return [dataset.name, *([dataset.hub.split("/")[-1]] if dataset.hub else [])]
