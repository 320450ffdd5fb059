"""Records in the layout in which they are written, read quickly: what many have alike is parsed and checked once.

`store.read` is the reader of every layout and says what is wrong with a file. This one takes a text only where that one
would, and with the same values: each line `  "FIELD": VALUE` of the outermost object is taken by itself, which is what
JSON means where every VALUE is JSON.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, NamedTuple

from pydantic import TypeAdapter

from mlcd_eval.records.checksum import CHECKSUM, canonical, checksum_of_texts
from mlcd_eval.records.parts import FIELDS, SINGLE, Parts
from mlcd_eval.records.result import Result
from mlcd_eval.support.documents import DEEPEST, parse_json

START, BETWEEN, END = '{\n  "', ',\n  "', "\n}\n"
OWN = ("metrics", *SINGLE)
"""Fields that hardly two records have alike."""
MOST = 1 << 14
"""Values that are remembered."""


class _Known(NamedTuple):
    """A value that was checked: what stands for it in a row, and its canonical text."""

    entry: Any
    text: str


class Layout:
    """Reads the texts of records to rows of these parts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._known: dict[tuple[str, str], _Known] = {}

    def row(self, text: str) -> list[Any] | None:
        """Return the row of a record; None for a text that is not in this layout, is damaged or holds anything else
        that is no record."""
        if not (text.startswith(START) and text.endswith(END)):
            return None
        pieces = text[len(START) : -len(END)].split(BETWEEN)
        values = {field: value for field, _, value in (piece.partition('": ') for piece in pieces)}
        if len(values) != len(pieces):
            return None
        stated = values.pop(CHECKSUM, None)
        try:
            known = {field: self._field(field, value) for field, value in values.items()}
        except (ValueError, LookupError):  # no JSON, a value that does not fit, a field that there is not
            return None
        if stated is not None and stated != f'"{checksum_of_texts({name: each.text for name, each in known.items()})}"':
            return None
        if not _required() <= known.keys():
            return None
        return [known[field].entry if field in known else self._default(field) for field in FIELDS[Result]]

    def _field(self, field: str, text: str) -> _Known:
        known = self._known.get((field, text))
        if known is None:
            value = parse_json(text, DEEPEST - 1)
            known = _Known(self._parts.entry(field, _check(field).validate_python(value)), canonical(value))
            if field not in OWN:
                if len(self._known) == MOST:
                    self._known.clear()
                self._known[field, text] = known
        return known

    def _default(self, field: str) -> Any:
        return self._parts.entry(field, Result.model_fields[field].get_default(call_default_factory=True))


@functools.cache
def _check(field: str) -> TypeAdapter[Any]:
    """What checks one field of a record as the whole record's class does. Raises LookupError for an unknown one."""
    info = Result.model_fields[field]
    kind: Any = info.annotation
    for condition in info.metadata:
        kind = Annotated[kind, condition]
    return TypeAdapter(kind)


@functools.cache
def _required() -> frozenset[str]:
    return frozenset(name for name, info in Result.model_fields.items() if info.is_required()) | {"schema_version"}
