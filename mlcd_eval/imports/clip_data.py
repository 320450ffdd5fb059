"""Which of our tasks is on a data set of clip-benchmark, whose copies open_clip's tables (by DataComp) use too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mlcd_eval.imports.values import UNKNOWN, safe_name
from mlcd_eval.protocols.registry import PROTOCOLS
from mlcd_eval.spec import VARIANT, TaskIndex, TaskSpec

SAME_AS_VTAB = ("cifar10", "cifar100", "dtd", "flowers", "pcam", "pets")
"""Whose copy by torchvision has VTAB's test split. That of caltech101 and eurosat has none: they are scored whole."""


def our_task(protocol: str, dataset: str, index: TaskIndex) -> TaskSpec | None:
    """The task of the protocol on this very data; a hub copy is called `wds_` and the data set's name with `-` for
    `/`, and one of DataComp's has `_test` after it."""
    name = _flat(dataset)
    names = {name, f"vtab-{name}"} if name in SAME_AS_VTAB else {name}
    ours = (task for task in index.tasks.values() if task.protocol == protocol and VARIANT not in task.tags)
    return next((task for task in ours if _their_name(task) in names), None)


def other_task_name(protocol: str, dataset: str, index: TaskIndex) -> str:
    """A name for a task on data of no task of ours, which is not the name of a task on other data."""
    name = safe_name(_flat(dataset)) or "unnamed"
    taken = f"{protocol}/{name}" in index.tasks
    return f"{protocol}/{name}{'-clip-benchmark' if taken else ''}"


TRANSLATED = {
    "crossmodal3600": "retrieval/xm3600",
    "multilingual_mscoco_captions": "retrieval/xtd",
    "xtd10": "retrieval/xtd",
    "babel_imagenet": "zeroshot/babel_imagenet",
    "imagenet1k": "zeroshot/translated_imagenet",
}
"""Its data sets in several languages -> our tasks on them, that of ImageNet without English."""
CODES = {"jp": "ja", "cn": "zh"}
"""Its code of a language -> the language's own."""


class Translated(NamedTuple):
    """A task in one language."""

    task: TaskSpec
    language: str

    @property
    def part(self) -> str:
        """What its record's name has after the task's."""
        return f"@language={self.language}"


def translated(protocol: str, dataset: str, language: str, index: TaskIndex) -> Translated | None:
    """Our task on a data set in several languages, in the one whose code is given in their spelling, or MACRO."""
    task = index.tasks.get(TRANSLATED.get(_flat(dataset), ""))
    code = CODES.get(language.lower(), language.lower())
    if task is None or task.protocol != protocol or (code == "en" and _flat(dataset) == "imagenet1k"):
        return None
    return Translated(task, code)


def _flat(dataset: str) -> str:
    return dataset.removeprefix("wds/").replace("/", "-")


def _their_name(task: TaskSpec) -> str:
    hub = task.dataset.hub
    return hub.rpartition("/")[2].removeprefix("wds_").removesuffix("_test") if hub else task.dataset.name


def data_kinds(protocol: str) -> Sequence[str]:
    """The kinds of data that a protocol of ours takes, `unknown` for a task that is not ours."""
    return PROTOCOLS[protocol].kinds if protocol in PROTOCOLS else (UNKNOWN,)
