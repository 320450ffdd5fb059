"""Whether a published number and a record were measured in the same way, and if not, in what they differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from mlcd_eval.data.prompt_lists import MTEB_TEMPLATE, MTEB_TEMPLATES
from mlcd_eval.records import Result
from mlcd_eval.tables.identity import LIMIT, SETTING, SIZE
from mlcd_eval.tables.published.dialect import Dialect
from mlcd_eval.tables.published.number import PublishedNumber
from mlcd_eval.tables.variants import variants

REQUIRED = {
    "zeroshot": ("prompts", "split"),
    "linear_probe": ("probe", "shots", "split"),
    "knn": ("probe", "split"),
    "depth_linear": ("probe", "split"),
    "seg_linear": ("probe", "split"),
    "seg_zeroshot": ("prompts", "split"),
    "retrieval": ("split",),
    "compositionality": ("split",),
    "association": ("split",),
    "docvqa": ("split",),
    "refcoco": ("split",),
}
"""Protocol -> what a source must state before its numbers count as measured in the same way."""
MTEB = "MTEB's"
"""How a source's class names are stated that are mteb's."""
COMPARED = ("language", "samples", "class_names", "layer", "text_cleaning", "resize")
"""What sets two numbers apart where both sides state it."""
WORDS = {"samples": "images"}
"""Factor -> its word in a sentence, where that is another."""


class Difference(NamedTuple):
    """One factor of the dialect. theirs, ours: its value of the published number and of the record, None where it is
    not stated."""

    factor: str
    theirs: str | None
    ours: str | None

    @property
    def short(self) -> str:
        """For a heading: `prompts=a photo of {c}.`"""
        return f"{self.factor}={self.theirs}" if self.theirs is not None else f"{self.factor} not stated"

    @property
    def text(self) -> str:
        """For a sentence: `prompts: a photo of {c}. (yours: clip-benchmark:imagenet1k)`."""
        word, ours = WORDS.get(self.factor, self.factor).replace("_", " "), self.ours or "not stated"
        return f"{word}: {self.theirs or 'not stated'} (yours: {ours})"


def differences(number: PublishedNumber, result: Result, metric: str) -> tuple[Difference, ...]:
    """What keeps a published number of a record's task from being compared with a metric of the record; empty where
    nothing does."""
    differing = [] if number.metric == metric else [Difference("metric", number.metric, metric)]
    if result.limit is not None:
        differing.append(Difference("limit", "none", str(result.limit)))
    as_task = number.dialect.as_task is not None
    differing += _from_usual(result) if as_task else _from_stated(number.dialect, result)
    data = result.dataset
    if number.dialect.samples is None and data.expected_num_samples not in (None, data.num_samples):
        differing.append(Difference("samples", str(data.expected_num_samples), str(data.num_samples)))
    return tuple(differing)


def _from_usual(result: Result) -> Iterator[Difference]:
    """How a record differs from what its task's name alone means."""
    for each in variants([result])[result]:
        if each.fact not in (LIMIT, SIZE):  # `differences` itself compares these
            yield Difference(each.fact.removeprefix(SETTING), "the task's own", each.text.rpartition("=")[2])


def _from_stated(theirs: Dialect, result: Result) -> Iterator[Difference]:
    """How a record differs from what a source states."""
    ours = dialect_of(result)
    for factor in REQUIRED.get(result.task.protocol, ()):
        if not agrees(factor, theirs, ours):
            yield _difference(factor, theirs, ours)
    for factor in COMPARED:
        stated = getattr(theirs, factor) is not None and getattr(ours, factor) is not None
        if stated and not agrees(factor, theirs, ours):
            yield _difference(factor, theirs, ours)


def _difference(factor: str, theirs: Dialect, ours: Dialect) -> Difference:
    values = [getattr(side, factor) for side in (theirs, ours)]
    return Difference(factor, *(None if value is None else str(value) for value in values))


def dialect_of(result: Result) -> Dialect:
    """How a record's number was measured, as far as the record says."""
    settings, protocol = result.task.settings, result.task.protocol
    prompts = re.fullmatch(r"class names: (.*?); templates: (.*)", str(result.details.get("prompts")))
    few = settings.get("shots")
    return Dialect(
        prompts=_prompts(prompts[2], settings.get("templates")) if prompts else None,
        num_prompts=result.details.get("num_templates"),
        class_names=MTEB if settings.get("class_names") == "mteb" else prompts[1] if prompts else None,
        split=result.dataset.split,
        samples=result.dataset.num_samples,
        language=settings.get("language") or "en",
        layer=settings.get("layer"),
        probe=_probe(protocol, settings),
        shots=(few or "all") if protocol == "linear_probe" else None,
        seeds=settings.get("trials") if few else None,
    )


def _prompts(source: str, templates: object) -> str:
    """Where templates come from; where there is one, the template itself, as sources state it.

    templates: the setting.
    """
    name, _, key = source.partition(":")
    if name == "mteb":
        return MTEB_TEMPLATES.get(key, MTEB_TEMPLATE)
    if source == "task" and isinstance(templates, list) and len(templates) == 1:
        return templates[0]
    return "{c}" if source == "none" else source


def _probe(protocol: str, settings: dict[str, object]) -> str | None:
    if protocol == "linear_probe":
        fixed = settings.get("lambda_")
        return f"logistic regression, lambda {'swept' if fixed is None else f'{fixed:g}'}"
    if protocol == "knn":
        return f"kNN, temperature {settings.get('temperature')}"
    if protocol == "depth_linear":
        return "256 bins of depth" if settings.get("bins") else "least squares"
    if protocol == "seg_linear":
        return "gradient steps on pixels" if settings.get("sgd") else "logistic regression of patches"
    return None


def agrees(factor: str, theirs: Dialect, ours: Dialect) -> bool:
    """Whether a factor is the same on both sides. A data set's own lists of prompts and names (`folder`) are
    clip-benchmark's where there are as many of them. mteb's prompts have line ends that sources do not state."""
    their, our = getattr(theirs, factor), getattr(ours, factor)
    if factor == "prompts" and our == "folder" and their is not None and their.startswith("clip-benchmark:"):
        return theirs.num_prompts == ours.num_prompts
    if factor == "prompts" and their is not None and "{c}" in their:
        return our is not None and "".join(their.split()) == "".join(our.split())
    if factor == "class_names" and their is not None and their.startswith(MTEB):
        return our == MTEB
    if factor == "class_names" and their == "clip-benchmark":
        return our == "folder" or our.startswith("clip-benchmark:")
    return their is not None and their == our
