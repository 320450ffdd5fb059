"""The factors of a task's dialects: the settings that public sources choose differently, and the values of each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import ConfigError, UserError
from mlcd_eval.planning.job import Job, resolved, settings_of
from mlcd_eval.protocols.base import Protocol
from mlcd_eval.protocols.dialects import DIALECT
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol
from mlcd_eval.spec import validated

Point = tuple[int, ...]
"""A dialect: for each factor the place of its value."""
TASKS_OWN = "the task's own"
"""The name of the dialect that a task has without any setting of a request."""


@dataclass(frozen=True)
class Factors:
    """values: factor -> its values in JSON's types, the record's first, so that the record's dialect is (0, ..., 0).
    named: dialect -> its point. left_out: `factor value` -> why it cannot be measured here."""

    values: Mapping[str, tuple[Any, ...]]
    named: Mapping[str, Point]
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

    A value that means what an earlier one means here, as two names of one list of prompts do, counts once. more: further
    values of some factors.
    """
    protocol = job.protocol
    tasks_own = settings_of(job.task, protocol, {})
    dialects = {name: settings_of(job.task, protocol, {DIALECT: name}) for name in protocol.dialects}
    named = {TASKS_OWN: tasks_own, **dialects}
    settings = dict.fromkeys(
        [*protocol.factors, *(key for each in protocol.dialects.values() for key in each.settings)]
    )
    values: dict[str, tuple[Any, ...]] = {}
    places: dict[str, dict[str, int]] = {}
    left_out: dict[str, str] = {}
    for name in settings:
        candidates = [getattr(each, name) for each in (job.settings, *named.values())]
        candidates += [*protocol.factors.get(name, ()), *more.get(name, ())]
        kept: dict[str, Any] = {}
        places[name] = {}
        for value in candidates:
            changed = _with(job.settings, {name: value})
            text = _canonical(changed, name)
            if text in places[name] or f"{name} {text}" in left_out:
                continue
            try:
                meaning = _meaning(changed_job(job, info, {name: value}), name)
            except UserError as error:
                left_out[f"{name} {text}"] = str(error)
                continue
            if meaning not in kept:
                kept[meaning] = json.loads(text)
            places[name][text] = list(kept).index(meaning)
        values[name] = tuple(kept.values())
    points = {
        name: tuple(places[factor].get(_canonical(each, factor), -1) for factor in settings)
        for name, each in named.items()
    }
    return Factors(values, {name: point for name, point in points.items() if -1 not in point}, left_out)


def changed_job(job: Job, info: EncoderInfo, changes: Mapping[str, Any]) -> Job:
    """Return the job with other settings, as the model does it. Raises UserError where they do not fit the data or the
    model."""
    return resolved(replace(job, settings=_with(job.settings, changes)), job.dataset).for_model(info)


def _with(settings: BaseModel, changes: Mapping[str, Any]) -> BaseModel:
    return validated(type(settings), {**settings.model_dump(), **changes, DIALECT: None}, "explain")


def _canonical(settings: BaseModel, name: str) -> str:
    return json.dumps(settings.model_dump(mode="json")[name])


def _meaning(job: Job, name: str) -> str:
    """Equal for two values of a factor that make the same job."""
    prompts = job.prompts
    if prompts is not None and name in ("class_names", "templates"):
        return json.dumps([prompts.class_names, prompts.templates])
    return _canonical(job.settings, name)
