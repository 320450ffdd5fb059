"""What tables look up by the names in a record: its protocol and its task."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from mlcd_eval.protocols.base import Protocol
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol
from mlcd_eval.spec import TaskIndex, TaskSpec


@functools.cache
def protocol_named(name: str) -> Protocol[Any]:
    """The protocol of a record; one with plain defaults where it is not installed here."""
    return get_protocol(name) if name in PROTOCOLS else Protocol()


@functools.cache
def shipped_tasks() -> Mapping[str, TaskSpec]:
    """The tasks of this package by name."""
    return TaskIndex.load().tasks
