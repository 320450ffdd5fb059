"""Insertion into the text of a JSON file that leaves every other byte as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")


def insert(text: str, path: Sequence[str | int], position: int, value: Any) -> str:
    """The text with the value at a position of the list at the path, laid out as its neighbours are.

    path: keys and positions from the top. Raises KeyError where nothing is there.
    """
    start = _start(text, path)
    spans = [(first, last) for _, first, last in _items(text, start)]
    spread = "\n" in text[start : spans[0][0]] if spans else "\n" in text.strip()
    line = text.rfind("\n", 0, start) + 1
    indent = _SPACE.match(text, line).group()  # type: ignore[union-attr]
    unit = re.search(r"\n([ \t]+)", text)
    step = unit.group(1) if unit else "  "
    first = spans[0][0] if spans and spread else None
    inner = indent + step if first is None else text[text.rfind("\n", 0, first) + 1 : first]
    item = json.dumps(value, indent=step if spread else None, ensure_ascii=text.isascii())
    item = item.replace("\n", f"\n{inner}")
    between = f"\n{inner}" if spread else " "
    if not spans:
        closing = text.index("]", start)
        body = f"\n{inner}{item}\n{indent}" if spread else item
        return text[: start + 1] + body + text[closing:]
    if position < len(spans):
        at = spans[position][0]
        return f"{text[:at]}{item},{between}{text[at:]}"
    at = spans[-1][1]
    return f"{text[:at]},{between}{item}{text[at:]}"


def _start(text: str, path: Sequence[str | int]) -> int:
    """Where the value at the path begins."""
    at = _after_space(text, 0)
    for part in path:
        at = next((first for name, first, _ in _items(text, at) if name == part), -1)
        if at < 0:
            raise KeyError(part)
    return at


def _items(text: str, start: int) -> Iterator[tuple[str | int, int, int]]:
    """Key or position of each item of the list or object at `start`, where its value begins, and where it ends."""
    in_object = text[start] == "{"
    at, position = _after_space(text, start + 1), 0
    while text[at] not in "]}":
        name: str | int = position
        if in_object:
            name, at = _DECODER.raw_decode(text, at)
            at = _after_space(text, _after_space(text, at) + 1)  # the colon
        _, end = _DECODER.raw_decode(text, at)
        yield name, at, end
        at, position = _after_space(text, end), position + 1
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]
