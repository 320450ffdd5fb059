"""The checksum of a record: of its values, whatever the order and layout of its file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

CHECKSUM = "checksum"
"""The key of a record's checksum in its file. Records of earlier versions have none, and are read without a check."""

canonical = json.JSONEncoder(sort_keys=True).encode
"""The one text of a JSON value that checksums are over."""


def checksum(values: Mapping[str, Any]) -> str:
    """The sha256, in hex, of the canonical text of a record's values but for its checksum."""
    return checksum_of_texts({key: canonical(value) for key, value in values.items() if key != CHECKSUM})


def checksum_of_texts(texts: Mapping[str, str]) -> str:
    """The same from the canonical text of each value."""
    pairs = ", ".join([f"{canonical(key)}: {texts[key]}" for key in sorted(texts)])
    return hashlib.sha256(f"{{{pairs}}}".encode()).hexdigest()
