"""Errors that a user can fix. Everything else is a bug and keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """An error in one sentence: what, where, got, expected. The command line prints it and exits with 2."""


class ConfigError(UserError):
    """A request, flag, task file or setting that cannot be carried out as written."""


class DataError(UserError):
    """Data that is missing, damaged or not in the layout it claims."""


class IncompatibleError(UserError):
    """Two valid things that do not go together, such as zero-shot and a model without a text tower."""


class CheckpointError(UserError):
    """Weights that are missing, damaged or made for another architecture."""


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` with the closest valid name, or an empty string, to append to a message."""
    matches = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
