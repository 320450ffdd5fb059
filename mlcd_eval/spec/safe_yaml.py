"""YAML that cannot run code, and that does not drop the first of two equal keys in silence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mlcd_eval.errors import ConfigError

_Safe: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is several times as fast


class _UniqueKeyLoader(_Safe):
    """The safe loader, which builds plain values only, refusing duplicate keys (PyYAML keeps the last)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                continue  # a list or mapping as a key: refused by the safe loader
            key, line = self.construct_object(key_node), key_node.start_mark.line + 1
            if key in lines:
                problem = f"the key {key!r} is given twice, first in line {lines[key]}: expected it once"
                raise yaml.constructor.ConstructorError(problem=problem, problem_mark=key_node.start_mark)
            lines[key] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises ConfigError naming file, line and problem."""
    try:
        value = yaml.load(path.read_bytes(), Loader=_UniqueKeyLoader)  # noqa: S506 a subclass of the safe loader
    except FileNotFoundError as error:
        raise ConfigError(f"{path} is missing, expected a YAML file") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}{line} cannot be read as plain YAML: {error.problem}") from error
    except yaml.YAMLError as error:  # bytes that are not text
        raise ConfigError(f"{path} is not text in UTF-8: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict):
        held = {type(None): "nothing", list: "a list"}.get(type(value), f"a {type(value).__name__}")
        raise ConfigError(f"{path} holds {held}, expected a mapping of keys to values")
    return value
