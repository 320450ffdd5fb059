"""What tells two numbers apart besides the model.

The one place that decides whether two records may share a column, a board, a block of a model card or a key.
"""

from __future__ import annotations

import functools
import hashlib
import json
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mlcd_eval.protocols.dialects import expanded
from mlcd_eval.records import DatasetRecord, Result, TaskRecord
from mlcd_eval.support.same import Same
from mlcd_eval.tables.lookup import protocol_named, shipped_tasks

SETTING = "settings."
FINGERPRINT = "data fingerprint"
HARNESS, LANGUAGE, SHOTS = (f"{SETTING}{name}" for name in ("harness", "language", "shots"))
LIMIT, UNSCORED, SIZE = "limit", "not scored", "number of samples"
PARTIAL = (LIMIT, UNSCORED, SIZE)
"""The facts that say that a number is over a part of its task's data: --limit, images that could not be decoded, a data
set of another size."""

canonical = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode

Facts = Mapping[str, str]
"""Name -> value as JSON."""


def facts(result: Result) -> dict[str, str]:
    """Everything that a record holds about its number, except the model and the value.

    A setting that did not exist when a record was written has its usual value. The seed counts where it changes values.
    """
    return dict(_facts(*_stated(result)))


_known: dict[int, tuple[weakref.ref[Result], str]] = {}
"""id of a record -> the record, while it lives, and its identity: each panel of a report asks for it."""


def identity(result: Result) -> str:
    """A key that two records share only if their numbers were measured in the same way on the same data."""
    place = id(result)
    if place not in _known:
        kept = weakref.ref(result, lambda _: _known.pop(place, None))
        _known[place] = kept, _identity(*_stated(result))
    return _known[place][1]


def digest(result: Result) -> str:
    """The identity in twelve characters."""
    return identity(result)[:12]


class _Stated(NamedTuple):
    """What the facts of a record follow from, in a form that is quickly compared. task, data: as JSON."""

    task: str
    data: str
    limit: int | None
    unscored: int
    seed: int
    prompts: str


def _stated(result: Result) -> _Stated:
    return _Stated(
        _text_of(Same(result.task)),
        _text_of(Same(result.dataset)),
        result.limit,
        result.primary.num_unscored if result.primary else 0,
        result.seed,
        canonical(result.details.get("prompts")),
    )


@functools.lru_cache(maxsize=1 << 13)
def _text_of(part: Same[TaskRecord] | Same[DatasetRecord]) -> str:
    """The JSON of what many records of an index share."""
    return canonical(part.value.model_dump(mode="json"))


@functools.lru_cache(maxsize=1 << 12)
def _facts(*stated: Any) -> dict[str, str]:
    """The facts of records that state the same, which all models have on a task."""
    known = _Stated(*stated)
    task = TaskRecord.model_validate(json.loads(known.task))
    data = DatasetRecord.model_validate(json.loads(known.data))
    protocol = protocol_named(task.protocol)
    missing = {} if "harness" in task.settings else usual_settings(task.protocol, task.name)
    fields = task.model_dump(mode="json", exclude={"name", "settings"})
    values = {
        **{name: value for name, value in flat(SETTING, {**missing, **task.settings}) if name != f"{SETTING}split"},
        "split": data.split,
        LIMIT: known.limit,
        **({UNSCORED: known.unscored} if known.unscored else {}),
        **({"seed": known.seed} if protocol.seed_matters(task.settings) else {}),
        "task": task.name,
        **{"task version" if field == "version" else field.replace("_", " "): value for field, value in fields.items()},
        "prompts": json.loads(known.prompts),
        "data set": data.name,
        "kind": data.kind,
        SIZE: data.num_samples,
        FINGERPRINT: data.identity,
    }
    if values.get(LANGUAGE, "") is None:  # not stated: English, as in almost all data
        values[LANGUAGE] = "en"
    return {name: canonical(value) for name, value in values.items()}


@functools.lru_cache(maxsize=1 << 17)
def _identity(*stated: Any) -> str:
    return hashlib.sha256(canonical(_facts(*stated)).encode()).hexdigest()


@functools.cache
def usual_settings(protocol: str, task: str) -> Mapping[str, Any]:
    """The settings that a task's name alone means, as a record holds them: those of the shipped task of this name,
    else the protocol's defaults, with what depends on the model decided."""
    known, shipped = protocol_named(protocol), shipped_tasks().get(task)
    settings = getattr(known, "Settings", None)  # a protocol that is not installed has none
    defaults = settings.model_construct().model_dump(mode="json") if settings is not None else {}
    of_task = expanded(known.dialects, task, shipped.settings) if shipped else {}
    return defaults | dict(known.usual_settings) | of_task


def flat(prefix: str, values: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    """The items of nested mappings, names joined by dots."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from flat(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value
