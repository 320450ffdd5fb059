"""Web addresses as messages and records may show them: without users, passwords and what signs a request."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit, urlunsplit

_ADDRESS = re.compile(r"\w+://[^\s'\"<>]+")
REDACTED = "REDACTED"
_USER = re.compile(r"(?<=://)[^/\s?#]*@")
_QUERY = re.compile(r"(?<=[?&;])([^=&;\s?#]+)=([^&;\s#]*)")
_SECRET = re.compile(
    r"token(?!iz)|secret|passw|pwd|(api|access)_?key|signature|credential|auth(?!or)|session", re.IGNORECASE
)


def without_secrets(text: str) -> str:
    """The text, in each of whose web addresses user, password, query and fragment are left out: they may sign or
    authorise a request."""
    return _ADDRESS.sub(lambda match: _plain(match[0]), text)


def _plain(address: str) -> str:
    scheme, netloc, path, _, _ = urlsplit(address)
    return urlunsplit((scheme, netloc.rpartition("@")[2], path, "", ""))


def redacted(value: Any, harmless: Collection[str] = ()) -> Any:
    """Return text, or the texts in lists and mappings, with secrets replaced by `REDACTED`.

    In a URL that is the user, and the value of every query parameter whose name is not `harmless`, since signed URLs
    spread their secret over several. Elsewhere, as in `python:FILE.py:FACTORY?token=x`, a parameter is judged by its
    name.
    """
    if isinstance(value, dict):
        return {key: redacted(item, harmless) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, harmless) for item in value]
    if not isinstance(value, str):
        return value
    is_url = "://" in value

    def replace(match: re.Match[str]) -> str:
        is_secret = match[1] not in harmless if is_url else bool(_SECRET.search(match[1]))
        return f"{match[1]}={REDACTED}" if is_secret else match[0]

    return _QUERY.sub(replace, _USER.sub(f"{REDACTED}@", value))


def has_redacted(value: Any) -> bool:
    """Return whether a secret was replaced in a text, or in the texts of lists and mappings."""
    if isinstance(value, dict):
        return any(map(has_redacted, value.values()))
    if isinstance(value, list | tuple):
        return any(map(has_redacted, value))
    return isinstance(value, str) and REDACTED in value
