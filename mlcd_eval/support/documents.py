"""JSON and YAML from outside: the one place that parses them, within bounds on size, depth and what aliases add.

Every function raises ValueError with one sentence for text that is not such a document, so that a reader says once
what the file should have been.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from mlcd_eval.errors import ConfigError, DataError

DEEPEST = 100
"""The deepest nesting of lists and objects; C libraries and what reads the values later recurse once per level."""
LARGEST_JSON = 4 << 30
"""Bytes of a JSON text. COCO's annotations, the largest in use, take half a gigabyte."""
LARGEST_YAML = 16 << 20
"""Bytes of a YAML text, which is written by hand."""
MOST_NODES = 1_000_000
"""The values of a YAML document with every alias written out: ten lines of aliases can stand for 10 billion."""

MERGE = "tag:yaml.org,2002:merge"

_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is several times as fast


def parse_json(text: str | bytes, deepest: int = DEEPEST) -> Any:
    """The value of a JSON text, without a byte order mark; NaN and Infinity are read as Python's json does."""
    if len(text) > LARGEST_JSON:
        raise ValueError(f"it has {len(text):,} bytes, expected at most {LARGEST_JSON:,}")
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError(f"it is nested deeper than {deepest} levels") from error
    if _brackets(text) <= deepest:
        return value
    level: list[Any] = [value]
    for _ in range(deepest):
        level = [child for node in level for child in _containers(node)]
        if not level:
            return value
    raise ValueError(f"it is nested deeper than {deepest} levels")


def _brackets(text: str | bytes) -> int:
    """How many lists and objects begin in a JSON text, at most: what has few cannot be deep."""
    return text.count("[") + text.count("{") if isinstance(text, str) else text.count(b"[") + text.count(b"{")


def _containers(node: Any) -> Iterable[Any]:
    """The lists and objects in a value. The types are gathered first, since most lists hold numbers alone."""
    children = node.values() if type(node) is dict else node if type(node) is list else ()
    kinds = set(map(type, children))
    return () if kinds.isdisjoint((dict, list)) else (child for child in children if type(child) in (dict, list))


def read_json(path: Path) -> Any:
    """The value of a JSON file in UTF-8; raises OSError where it cannot be read, and ValueError."""
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"it has {path.stat().st_size:,} bytes, expected at most {LARGEST_JSON:,}")
    return parse_json(path.read_bytes().decode("utf-8-sig"))


def as_object(value: Any) -> dict[str, Any]:
    """A JSON value that is an object; raises ValueError for another one."""
    if not isinstance(value, dict):
        raise ValueError(f"got {type(value).__name__}, expected an object")
    return value


def read_object(path: Path) -> dict[str, Any]:
    """The object of a JSON file; raises what `read_json` does."""
    return as_object(read_json(path))


def json_lines(lines: Iterable[str | bytes], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, from 1, and object of each line of a file that is not blank; raises DataError naming file and line."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                value = as_object(parse_json(line))
            except ValueError as error:
                reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
                raise DataError(f"{path}, line {number} is no JSON object: {reason}") from error
            yield number, value


class _PlainLoader(_Safe):
    """The safe loader, which builds plain values only, refusing duplicate keys (PyYAML keeps the last)."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:  # 2024-02-30, an integer of more digits than Python reads
            problem = f"got {str(node.value)[:40]!r}: {error}"
            raise yaml.constructor.ConstructorError(problem=problem, problem_mark=node.start_mark) from error

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == MERGE:
                continue  # a list or mapping as a key is refused by the safe loader; `<<` is no key
            key, line = self.construct_object(key_node), key_node.start_mark.line + 1
            if key in lines:
                problem = f"the key {key!r} is given twice, first in line {lines[key]}: expected it once"
                raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key_node.start_mark)
            lines[key] = line
        return super().construct_mapping(node, deep)


def parse_yaml(text: str | bytes) -> Any:
    """The plain value of a YAML text: no tags, no duplicate keys. The message names the line."""
    if len(text) > LARGEST_YAML:
        raise ValueError(f"it has {len(text):,} bytes, expected at most {LARGEST_YAML:,}")
    try:
        _check_events(text)
        return yaml.load(text, Loader=_PlainLoader)  # noqa: S506 a subclass of the safe loader
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem}") from error
    except yaml.YAMLError as error:  # bytes that are not text
        raise ValueError(f"it is not text in UTF-8: {' '.join(str(error).split())}") from error


def _check_events(text: str | bytes) -> None:
    """Raises ValueError for what the loader would recurse into or write out at length. The stream of events has neither
    recursion nor memory: a node's size is that of its children, an alias's that of its anchor."""
    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []  # (anchor, nodes in the document before it)
    nodes = 0
    for event in yaml.parse(text, Loader=_Safe):
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise ValueError(f"{line}the alias *{event.anchor} stands for nothing complete before it")
            nodes += sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            nodes += 1
            if (tag := getattr(event, "tag", None)) not in (None, "!"):
                raise ValueError(f"{line}got the tag {tag}, expected plain values, which need none")
            if isinstance(event, yaml.ScalarEvent):
                sizes |= {event.anchor: 1} if event.anchor else {}
            else:
                open_nodes.append((event.anchor, nodes - 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_nodes.pop()
            sizes |= {anchor: nodes - before} if anchor else {}
        if nodes > MOST_NODES:
            raise ValueError(f"{line}more than {MOST_NODES:,} values, with aliases written out")
        if len(open_nodes) > DEEPEST:
            raise ValueError(f"{line}nested deeper than {DEEPEST} levels")


def _line(event: Any) -> str:
    return f"line {event.start_mark.line + 1}: "


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises ConfigError naming file, line and problem."""
    try:
        value = parse_yaml(path.read_bytes())
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing, expected a YAML file") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} cannot be read as plain YAML: {error}") from error
    if not isinstance(value, dict):
        held = {type(None): "nothing", list: "a list"}.get(type(value), f"a {type(value).__name__}")
        raise ConfigError(f"{path} holds {held}, expected a mapping of keys to values")
    return value
