"""The factors of a task's dialects: the settings that public sources choose differently, and the values of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import ConfigError, UserError
from mlcd_eval.planning.job import Job, resolved, settings_of
from mlcd_eval.protocols.base import Protocol
from mlcd_eval.protocols.classification.labelled import primary_metric
from mlcd_eval.protocols.dialects import DIALECT
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol
from mlcd_eval.spec import validated

Point = tuple[int, ...]
"""A dialect: for each factor the place of its value."""
METRIC = "metric"
"""The setting that names the metric by which models are ranked."""
TASKS_OWN = "the task's own"
"""The name of the dialect that a task has without any setting of a request."""


@dataclass(frozen=True)
class Factors:
    """values: factor -> its values in JSON's types, the record's first, so that the record's dialect is (0, ..., 0).
    named: dialect -> its point; sets: dialect -> the factors that it sets. left_out: `factor value` -> why it cannot be
    measured here."""

    values: Mapping[str, tuple[Any, ...]]
    named: Mapping[str, Point]
    sets: Mapping[str, AbstractSet[str]]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> Point:
        """The record's dialect."""
        return (0,) * len(self.values)

    def settings(self, point: Point) -> dict[str, Any]:
        """The value of each factor."""
        return {name: values[place] for (name, values), place in zip(self.values.items(), point, strict=True)}

    def changed(self, point: Point) -> list[str]:
        """The factors that differ from the record's."""
        return [name for name, place in zip(self.values, point, strict=True) if place]

    def names(self, point: Point) -> list[str]:
        """The named dialects that are this point."""
        return [name for name, place in self.named.items() if place == point]


def protocol_with_factors(name: str, task: str) -> Protocol[Any]:
    """Return a record's protocol; raises ConfigError for one without factors."""
    known = {each for each in PROTOCOLS if get_protocol(each).factors}
    if name not in known:
        raise ConfigError(
            f"explain: {task} is of the protocol {name}, for which no source is known to measure otherwise, expected "
            f"a task of {', '.join(sorted(known)) or 'a protocol with factors'}"
        )
    return get_protocol(name)


def factors_of(job: Job, info: EncoderInfo, more: Mapping[str, Sequence[Any]]) -> Factors:
    """Return the factors of a job, whose settings are the record's.

    Values that mean the same here, as two names of one list of prompts do, count once. more: further values of some
    factors.
    """
    protocol = job.protocol
    dialects = {name: settings_of(job.task, protocol, {DIALECT: name}) for name in protocol.dialects}
    named = {TASKS_OWN: settings_of(job.task, protocol, {}), **dialects}
    of_dialects = (setting for dialect in protocol.dialects.values() for setting in dialect.settings)
    known: dict[str, _Values] = {}
    for name in dict.fromkeys([*protocol.factors, *of_dialects]):
        known[name] = _Values(job, info, name)
        for settings in named.values():
            known[name].add(getattr(settings, name))
        for value in (*protocol.factors.get(name, ()), *more.get(name, ())):
            known[name].add(value)
    points: dict[str, Point] = {}
    for dialect, settings in named.items():
        places = [values.place(getattr(settings, name)) for name, values in known.items()]
        if None not in places:
            points[dialect] = tuple(place for place in places if place is not None)
    return Factors(
        values={name: tuple(values.kept.values()) for name, values in known.items()},
        named=points,
        sets={name: set(dialect.settings) for name, dialect in protocol.dialects.items()},
        left_out={name: reason for values in known.values() for name, reason in values.left_out.items()},
    )


class _Values:
    """The values of one factor, the record's first. kept: meaning -> value."""

    def __init__(self, job: Job, info: EncoderInfo, name: str) -> None:
        self.kept: dict[str, Any] = {}
        self.left_out: dict[str, str] = {}
        self._job, self._info, self._name = job, info, name
        self._keep(job)

    def add(self, value: Any) -> None:
        """Keep a value that the data and the model allow and that means something new."""
        try:
            self._keep(changed_job(self._job, self._info, {self._name: value}))
        except UserError as error:
            self.left_out[f"{self._name} {json.dumps(value)}"] = str(error)

    def place(self, value: Any) -> int | None:
        """Return the place of a value or its equal; None for one that is left out."""
        try:
            meaning, _ = _meaning(changed_job(self._job, self._info, {self._name: value}), self._name)
        except UserError:
            return None
        return list(self.kept).index(meaning)

    def _keep(self, job: Job) -> None:
        meaning, value = _meaning(job, self._name)
        self.kept.setdefault(meaning, value)


def changed_job(job: Job, info: EncoderInfo, changes: Mapping[str, Any]) -> Job:
    """Return the job with other settings, as the model does it. Raises UserError where they do not fit the data or the
    model."""
    values = {**job.settings.model_dump(), **changes, DIALECT: None}
    settings = validated(type(job.settings), values, f"settings of {job.name}")
    return resolved(replace(job, settings=settings), job.dataset).for_model(info)


def _meaning(job: Job, name: str) -> tuple[str, Any]:
    """Return a key that is equal for values of a factor that make the same job, and the value in JSON's types, without
    what it leaves to the data."""
    value = job.settings.model_dump(mode="json")[name]
    if job.prompts is not None and name in ("class_names", "templates"):
        names, templates = job.prompts.source.removeprefix("class names: ").split("; templates: ")
        source, texts = (
            (names, job.prompts.class_names) if name == "class_names" else (templates, job.prompts.templates)
        )
        return json.dumps(texts), source if value is None and source != "task" else value
    if name == METRIC and value is None:
        value = primary_metric(None, 0, job.dataset.kind == "multilabel")
    return json.dumps(value), value
