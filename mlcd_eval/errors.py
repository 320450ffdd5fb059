"""Errors that a user can fix. Everything else is a bug and keeps its traceback."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

LONGEST = 8_000  # characters of a message
LONGEST_WORD = 1_000  # characters without a space in it


class UserError(Exception):
    """An error in one sentence: what, where, got, expected. The command line prints it and exits with 2.

    What it quotes of damaged files may be of any length: of a longer word the beginning and the end are kept, so that
    the words around it stay, and of a longer message too.
    """

    def __init__(self, message: object) -> None:
        text = re.sub(rf"\S{{{LONGEST_WORD + 1},}}", lambda word: _shortened(word[0], LONGEST_WORD), str(message))
        super().__init__(_shortened(text, LONGEST))


class ConfigError(UserError):
    """A request, flag, task file or setting that cannot be carried out as written."""


class DataError(UserError):
    """Data that is missing, damaged or not in the layout it claims."""


class IncompatibleError(UserError):
    """Two valid things that do not go together, such as zero-shot and a model without a text tower."""


class CheckpointError(UserError):
    """Weights that are missing, damaged or made for another architecture."""


def _shortened(text: str, longest: int) -> str:
    """The beginning and the end of a text of more than `longest` characters."""
    if len(text) <= longest:
        return text
    kept = longest // 2 - 50
    return f"{text[:kept]} ... ({len(text) - 2 * kept:,} characters) ... {text[-kept:]}"


def nearest(name: str, valid: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` with the closest valid name, or an empty string, to append to a message."""
    matches = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f" (did you mean {matches[0]!r}?)" if matches else ""
