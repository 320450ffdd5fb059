"""Settings that a request gives several values, such as `shots=[1, 4, 16]`: each value makes a record of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlcd_eval.errors import ConfigError
from mlcd_eval.protocols.base import Protocol

CURVE = "curve"
"""The word for a setting's usual values."""


def each_value(protocol: Protocol[Any], settings: Mapping[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    """Return for each combination of values the part that it adds to a record's name, and the values themselves.

    settings: a task's with a request's. A setting of one value adds nothing; without a setting of several there is one
    combination, of no values. Raises ConfigError, beginning with `where`, for a list that is empty or repeats a value.
    """
    combinations: list[tuple[str, dict[str, Any]]] = [("", {})]
    for key, usual in protocol.swept.items():
        values = usual if settings.get(key) == CURVE else settings.get(key)
        if not isinstance(values, (list, tuple)):
            continue
        if not values or len({json.dumps(value, default=str) for value in values}) < len(values):
            example = f", such as {list(usual)}" if usual else ""
            raise ConfigError(f"{where}: {key!r} is {list(values)}, expected values that differ{example}")
        combinations = [
            (f"{part}@{key}={value}", {**fixed, key: value}) for part, fixed in combinations for value in values
        ]
    return combinations
