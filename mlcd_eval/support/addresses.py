"""Web addresses as messages and records may show them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_ADDRESS = re.compile(r"\w+://[^\s'\"<>]+")


def without_secrets(text: str) -> str:
    """The text, in each of whose web addresses user, password, query and fragment are left out: they may sign or
    authorise a request."""
    return _ADDRESS.sub(lambda match: _plain(match[0]), text)


def _plain(address: str) -> str:
    scheme, netloc, path, _, _ = urlsplit(address)
    return urlunsplit((scheme, netloc.rpartition("@")[2], path, "", ""))
