"""The factors of a task's dialects: the settings that public sources choose differently, and the values of each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

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
OTHERS = "other settings"
"""The factor of all that dialects set and that is no factor of its own."""
RECORDS_OWN = "the record's"
"""Its value in the record."""
METRIC = "metric"
"""The setting that names the metric by which models are ranked."""
TASKS_OWN = "the task's own"
"""The name of the dialect that a task has without any setting of a request."""


@dataclass(frozen=True)
class Factors:
    """values: factor -> its values in JSON's types, the record's first, so that the record's dialect is (0, ..., 0).
    changes: factor -> what each value changes in the record's settings. named: dialect -> its point; sets: dialect ->
    the factors that it sets. left_out: the changes of a value that cannot be measured here -> why."""

    values: Mapping[str, tuple[Any, ...]]
    changes: Mapping[str, tuple[Mapping[str, Any], ...]]
    named: Mapping[str, Point]
    sets: Mapping[str, AbstractSet[str]]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def own(self) -> Point:
        """The record's dialect."""
        return (0,) * len(self.values)

    @property
    def size(self) -> int:
        """The number of points."""
        return math.prod(map(len, self.values.values()))

    def settings(self, point: Point) -> dict[str, Any]:
        """The value of each factor."""
        return {name: values[place] for (name, values), place in zip(self.values.items(), point, strict=True)}

    def changed(self, point: Point) -> list[str]:
        """The factors that differ from the record's."""
        return [name for name, place in zip(self.values, point, strict=True) if place]

    def change(self, point: Point) -> dict[str, Any]:
        """What a point changes in the record's settings."""
        changes = (changes[place] for changes, place in zip(self.changes.values(), point, strict=True))
        return {setting: value for each in changes for setting, value in each.items()}

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

    Values that mean the same here, as two names of one list of prompts do, count once. Settings of dialects that are no
    factors of the protocol are one factor together, OTHERS where there are several. more: further values of some
    factors.
    """
    protocol = job.protocol
    used = {name: dialect for name, dialect in protocol.dialects.items() if dialect.explains}
    one_of = {key: getattr(job.settings, key) for key in protocol.swept if isinstance(job.task.settings.get(key), list)}
    dialects = {name: settings_of(job.task, protocol, {DIALECT: name, **one_of}) for name in used}
    named = {TASKS_OWN: settings_of(job.task, protocol, one_of), **dialects}
    set_by = {name: set(dialect.settings) for name, dialect in used.items()}
    others = sorted(set().union(*set_by.values()) - set(protocol.factors))
    rest = others[0] if len(others) == 1 else OTHERS
    known = {name: _Values(job, info, (name,)) for name in protocol.factors} | (
        {rest: _Values(job, info, others)} if others else {}
    )
    places = {
        dialect: [values.add(values.of(settings), dialect) for values in known.values()]
        for dialect, settings in named.items()
    }
    for name in protocol.factors:
        for value in (*protocol.factors[name], *more.get(name, ())):
            known[name].add({name: value})
    return Factors(
        values={name: tuple(values.shown) for name, values in known.items()},
        changes={name: tuple(values.changes) for name, values in known.items()},
        named={
            name: tuple(place for place in point if place is not None)
            for name, point in places.items()
            if None not in point
        },
        sets={
            name: {*(settings - set(others)), *({rest} if settings & set(others) else ())}
            for name, settings in set_by.items()
        },
        left_out={text: reason for values in known.values() for text, reason in values.left_out.items()},
    )


class _Values:
    """The values of one factor, which is one setting or several; the record's first. shown: as people read them."""

    def __init__(self, job: Job, info: EncoderInfo, settings: Sequence[str]) -> None:
        self._job, self._info, self._settings = job, info, settings
        meaning, shown = _meaning(job, settings)
        self._meanings = [meaning]
        self.shown = [RECORDS_OWN if len(settings) > 1 else shown]
        self.changes: list[Mapping[str, Any]] = [{}]
        self.left_out: dict[str, str] = {}

    def of(self, settings: BaseModel) -> dict[str, Any]:
        """Return the factor's part of all settings."""
        return {name: getattr(settings, name) for name in self._settings}

    def add(self, changes: Mapping[str, Any], dialect: str = "") -> int | None:
        """Return the place of a value, which is kept if it means something new; None where the data or the model do not
        allow it. dialect: that has it."""
        try:
            meaning, shown = _meaning(changed_job(self._job, self._info, changes), self._settings)
        except UserError as error:
            self.left_out[str(dict(changes))] = str(error)
            return None
        if meaning not in self._meanings:
            self._meanings.append(meaning)
            self.shown.append(dialect if len(self._settings) > 1 else shown)
            self.changes.append(changes)
        return self._meanings.index(meaning)


def changed_job(job: Job, info: EncoderInfo, changes: Mapping[str, Any]) -> Job:
    """Return the job with other settings, as the model does it. Raises UserError where they do not fit the data or the
    model."""
    values = {**job.settings.model_dump(), **changes, DIALECT: None}
    settings = validated(type(job.settings), values, f"settings of {job.name}")
    return resolved(replace(job, settings=settings), job.dataset).for_model(info)


def _meaning(job: Job, settings: Sequence[str]) -> tuple[str, Any]:
    """Return a key that is equal for values of a factor that make the same job, and what people read: the value in
    JSON's types, without what it leaves to the data; of several settings all values."""
    values = job.settings.model_dump(mode="json", include=set(settings))
    if values.get(METRIC, "") is None:
        values[METRIC] = primary_metric(None, 0, job.dataset.kind == "multilabel")
    if len(settings) > 1:
        return json.dumps(values, sort_keys=True), values
    ((name, value),) = values.items()
    if job.prompts is None or name not in ("class_names", "templates"):
        return json.dumps(value), value
    names, templates = job.prompts.source.removeprefix("class names: ").split("; templates: ")
    source, texts = (names, job.prompts.class_names) if name == "class_names" else (templates, job.prompts.templates)
    return json.dumps(texts), source if value is None and source != "task" else value
