"""What every reader shares: values that are checked by their unit, and names that are fit for a folder."""

from __future__ import annotations

import math
import re
import reprlib
from typing import Any

from mlcd_eval.errors import DataError

UNKNOWN = "unknown"
_ROUNDING = 1e-6  # of float32 means


def bounded(where: str, value: Any, unit: str, low: float, high: float) -> float:
    """The value as a number; raises DataError for what is no number, not finite, or not in the unit's range."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    slack = high * _ROUNDING
    if not low - slack <= number <= high + slack:
        raise DataError(f"{where} is {reprlib.repr(value)}, expected {unit}, {low:g} to {high:g}")
    return max(low, min(number, high))


def fraction(where: str, value: Any, *, per_cent: bool = False) -> float:
    """The same of a value that is a fraction, or per cent of one; always returned as a fraction."""
    if per_cent:
        return bounded(where, value, "per cent", 0, 100) / 100
    return bounded(where, value, "a fraction", 0, 1)


def safe_name(*parts: Any) -> str:
    """A folder's name from names, hub names and paths, of which the last part counts."""
    short = (re.sub(r"\.(pt|pth|bin|safetensors|ckpt)$", "", last_part(str(part))) for part in parts if part)
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", "_".join(short)).strip("._")


def last_part(name: str) -> str:
    """The last part of a path or a hub name; for a snapshot in the hub's cache its repository's name."""
    cached = re.search(r"models--(?:[^/]+?--)?([^/]+)/snapshots/", name)
    return cached[1] if cached else name.rstrip("/\\").replace("\\", "/").rpartition("/")[2]
