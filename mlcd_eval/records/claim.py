"""Claims on records: runs that are about to write one record with different requests see each other.

A claim is a file beside the record that says who writes it, and a lock that the system releases when its process ends,
however that ends, so that a dead run claims nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import uuid
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.documents import read_json


@contextlib.contextmanager
def claimed(path: Path, request: str, command: str | None) -> Iterator[None]:
    """Claim a record within the block. request: the key of what it will hold; command: what writes it, for the other.

    Raises ConfigError if a run that is still alive claims the record with another request.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.claim."  # names may be too long for more
    claim = path.parent / f"{prefix}{uuid.uuid4().hex}.json"
    with _held(_lock_of(claim)):
        owner = {"request": request, "process": os.getpid(), "host": socket.gethostname(), "command": command}
        owner["since"] = datetime.now(timezone.utc).isoformat(timespec="seconds")
        # as it is, since a kill would leave a temporary file that no other writer of this name ever removes; who reads
        # half of it goes on, and this process sees that one's claim below
        claim.write_text(json.dumps(owner), encoding="utf-8")
        try:
            for other in path.parent.glob(f"{prefix}*.json"):
                if other != claim:
                    _check(path, request, other)
            yield
        finally:
            claim.unlink(missing_ok=True)


def _check(path: Path, request: str, other: Path) -> None:
    """Raise ConfigError if a running process claims the record for another request; remove the claim of a process that
    has ended."""
    with contextlib.suppress(Timeout), _held(_lock_of(other)):
        other.unlink(missing_ok=True)
        return
    owner = _owner(other)
    if owner is not None and owner.get("request") != request:
        raise ConfigError(
            f"{path} is being written by another run with a different request: process {owner.get('process')} on "
            f"{owner.get('host')} since {owner.get('since')} ({owner.get('command') or 'its command is not known'}): "
            "expected another --output, or to wait for its end"
        )


def _owner(claim: Path) -> dict[str, Any] | None:
    """What a claim says; None for one that has just been given up."""
    try:
        owner = read_json(claim)
    except (OSError, ValueError):
        return None
    return owner if isinstance(owner, dict) else None


def _lock_of(claim: Path) -> Path:
    return claim.with_suffix(".lock")


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock, whose file goes with it; raises Timeout if another process holds it."""
    with FileLock(path, timeout=0):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
