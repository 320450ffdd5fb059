"""The state of a finished stage: done.json in its folder, with the settings that its result depends on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlcd_eval.errors import CheckpointError, ConfigError
from mlcd_eval.support.fileio import write_text

FILE = "done.json"


def write_stage_state(folder: Path, settings: Mapping[str, Any]) -> None:
    """Say that `folder` holds what `settings` make."""
    write_text(folder / FILE, json.dumps(settings, indent=2) + "\n")


def is_done(folder: Path, settings: Mapping[str, Any]) -> bool:
    """Whether a stage's result is there; raises ConfigError where it was made by other settings, CheckpointError where
    the file is damaged."""
    path = folder / FILE
    if not path.is_file():
        return False
    try:
        was = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(was, dict):
        raise CheckpointError(f"{path} is damaged: got a {type(was).__name__}, expected a stage's settings")
    now = json.loads(json.dumps(settings))
    if was == now:
        return True
    was, now = _flat(was), _flat(now)
    differences = [key for key in sorted(set(was) | set(now)) if was.get(key) != now.get(key)]
    changes = ", ".join(f"{key} was {_short(was.get(key))} and is {_short(now.get(key))}" for key in differences)
    raise ConfigError(f"{folder} was made by another config: {changes} (choose another output, or delete that folder)")


def _flat(settings: Mapping[str, Any], section: str = "") -> dict[str, Any]:
    """Values by `section.key`."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{section}{key}.") if isinstance(value, dict) else {f"{section}{key}": value}
    return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
