"""How outputs name what sets a number apart from the others of its place."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, NamedTuple

from mlcd_eval.protocols.dialects import DIALECT
from mlcd_eval.records import Result
from mlcd_eval.tables.identity import (
    FINGERPRINT,
    HARNESS,
    LANGUAGE,
    LIMIT,
    PARTIAL,
    SETTING,
    SHOTS,
    SIZE,
    UNSCORED,
    Facts,
    canonical,
    facts,
    flat,
    identity,
    usual_settings,
)
from mlcd_eval.tables.lookup import protocol_named, shipped_tasks

FIRST = (HARNESS, LANGUAGE, f"{SETTING}{DIALECT}", SHOTS)
"""The facts that explain most, so that they are tried first to tell records apart."""
UNKNOWN = json.dumps("unknown")
LONGEST = 40  # characters of a value in a label


class Difference(NamedTuple):
    """One fact that sets a number apart from the usual one of its task; value: as JSON, None where it has none."""

    fact: str
    value: str | None
    text: str


def _settings_of_dialect(protocol: str, name: object) -> Mapping[str, Any]:
    """The settings that the name of a dialect means, as a record holds them; none for one that is not known here."""
    known = protocol_named(protocol)
    if not isinstance(name, str) or name not in known.dialects:
        return {}
    values = known.dialects[name].settings
    return known.Settings.model_validate(values).model_dump(mode="json", include=set(values))


def variants(
    results: Iterable[Result],
    place: Callable[[Result], Hashable] = lambda result: result.task.name,
    covered: Callable[[Result], Iterable[str]] = lambda _: (),
) -> Variants:
    """What sets each number apart from the others of its place, by default its task.

    Settings, split and what is partial are named wherever they are not the task's own; anything else (harness, version,
    seed, data) only where it tells two records of one place apart. covered: facts that the name of the place states.
    """
    places: dict[Hashable, dict[str, Result]] = {}
    known = [(result, identity(result)) for result in results]
    for result, key in known:
        places.setdefault(place(result), {}).setdefault(key, result)
    named = [_named_apart(members, covered) for members in places.values()]
    return Variants(known, {key: variant for by_identity in named for key, variant in by_identity.items()})


class Variants:
    """The variant of each record of a set: all that sets its number apart, empty for the usual one."""

    def __init__(self, known: Iterable[tuple[Result, str]], by_identity: Mapping[str, tuple[Difference, ...]]) -> None:
        self._known = {id(result): (result, key) for result, key in known}
        self._by_identity = by_identity

    def __getitem__(self, result: Result) -> tuple[Difference, ...]:
        return self._by_identity[self.identity(result)]

    def identity(self, result: Result) -> str:
        """`identity`, which is worked out once for the records of the set."""
        return self._known[id(result)][1] if id(result) in self._known else identity(result)

    def label(self, result: Result) -> str:
        """`shots=4, limit 40`, empty for the usual number."""
        return label(self[result])


def label(variant: Iterable[Difference]) -> str:
    """The texts of a variant in one line."""
    return ", ".join(difference.text for difference in variant)


def with_label(name: str, text: str) -> str:
    """`name [text]`, the name alone where there is no text."""
    return f"{name} [{text}]" if text else name


def _named_apart(
    members: Mapping[str, Result], covered: Callable[[Result], Iterable[str]]
) -> dict[str, tuple[Difference, ...]]:
    """Identity -> variant, no two alike."""
    known = {key: facts(result) for key, result in members.items()}
    usual = {
        key: _usual(result) | {name: known[key].get(name) for name in covered(result)}
        for key, result in members.items()
    }
    shared = _shared(usual.values())
    names = list(dict.fromkeys([*FIRST, *(name for values in known.values() for name in values)]))
    named = {key: _always_named(known[key], usual[key]) for key in members}

    texts = functools.cache(lambda name: _texts(name, {values.get(name) for values in known.values()}))

    def variant(key: str) -> tuple[Difference, ...]:
        return tuple(Difference(name, known[key].get(name), texts(name)[known[key].get(name)]) for name in named[key])

    for name in names if len(members) > 1 else ():
        alike: dict[tuple[Difference, ...], list[str]] = {}
        for key in members:
            alike.setdefault(variant(key), []).append(key)
        for keys in alike.values():
            if len({known[key].get(name) for key in keys}) > 1:
                for key in keys:
                    if name not in shared or known[key].get(name) != shared[name]:
                        named[key].append(name)
    return {key: variant(key) for key in members}


def _usual(result: Result) -> dict[str, str | None]:
    """The facts of the number that the task's name alone means, as far as they are known."""
    task = shipped_tasks().get(result.task.name)
    version = getattr(protocol_named(result.task.protocol), "version", None)  # None where it is not installed
    settings = {"shots": None, **usual_settings(result.task.protocol, result.task.name)}
    dialect = result.task.settings.get(DIALECT)
    if dialect != settings.get(DIALECT):  # it is named, and means what it says
        settings |= _settings_of_dialect(result.task.protocol, dialect)
    split, expected = settings.pop("split", None), result.dataset.expected_num_samples
    values = {
        LANGUAGE: "en",
        **dict(flat(SETTING, settings)),
        LIMIT: None,
        UNSCORED: None,
        "seed": 0,
        **({"split": split} if split is not None else {}),
        **({"task": task.name, "task version": task.version, "data set": task.dataset.name} if task else {}),
        **({SIZE: expected} if expected is not None and result.limit is None else {}),
        **({"protocol version": version} if version is not None else {}),
    }
    values[LANGUAGE] = values[LANGUAGE] or "en"
    return {HARNESS: None} | {name: canonical(value) for name, value in values.items()}


def _always_named(known: Facts, usual: Mapping[str, str | None]) -> list[str]:
    """The facts that are named even where no other record differs in them."""

    def may_be(name: str) -> bool:
        if name == "split":
            return known[name] != UNKNOWN
        return name in PARTIAL or (name.startswith(SETTING) and name != HARNESS)

    return [
        name for name, value in known.items() if _has_usual(name, usual) and value != usual.get(name) and may_be(name)
    ]


def _has_usual(name: str, usual: Mapping[str, str | None]) -> bool:
    """Whether a fact has a usual value; a field of a setting that is usually null has none of its own."""
    return name in usual or usual.get(".".join(name.split(".")[:2])) == "null"


def _shared(usual: Iterable[Mapping[str, str | None]]) -> dict[str, str | None]:
    """The usual values that do not contradict each other: at most one value of a fact may go without being named."""
    values: dict[str, set[str | None]] = {}
    for known in usual:
        for name, value in known.items():
            values.setdefault(name, set()).add(value)
    return {name: next(iter(distinct)) for name, distinct in values.items() if len(distinct) == 1}


def _texts(name: str, values: Iterable[str | None]) -> dict[str | None, str]:
    """Value -> its text in a label, different for different values."""
    starts = Counter(value[1:9] for value in values if value)
    return {value: _text(name, value, starts) for value in values}


def _text(name: str, value: str | None, starts: Counter[str]) -> str:
    """starts: of the values in question, each without its quotation mark, how many have these eight characters."""
    if value is None:
        return f"no {name.removeprefix(SETTING)}"
    if name == FINGERPRINT:
        full = json.loads(value)
        alone = starts[full[:8]] == 1
        return f"data {full[:8] if alone and re.fullmatch('[0-9a-f]+', full) else full}"
    plain = json.loads(value)
    word = isinstance(plain, str) and re.fullmatch(r"[A-Za-z][\w./:@+-]*", plain)
    text = plain if word and plain not in ("null", "true", "false") else value
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}… {hashlib.sha256(text.encode()).hexdigest()[:8]}"
    return f"{name.removeprefix(SETTING)}={text}" if name.startswith(SETTING) else f"{name} {text}"
