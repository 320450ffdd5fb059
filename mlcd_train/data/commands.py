"""Tar files that commands write, `tars:pipe:COMMAND` as in webdataset: read through copies, as other remote ones are.

A command is run without a shell, and only for a config that `--allow-pipes` was given for: a config may be another
person's.
"""

from __future__ import annotations

import hashlib
import io
import shlex
import subprocess
import tempfile
from typing import IO, Any

from mlcd_eval.data.storage.location import Digest
from mlcd_eval.errors import ConfigError, DataError

PIPE = "pipe:"


def check_consent(train: str | tuple[str, ...], allowed: bool) -> None:
    """Raise ConfigError for data of a command, unless commands are allowed."""
    for ref in (train,) if isinstance(train, str) else train:
        if PIPE in ref.partition("tars:")[2] and not allowed:
            raise ConfigError(
                f"data.train: got {ref!r}, a command that would be run: expected --allow-pipes, which lets this config "
                "run it"
            )


class Commands:
    """A folder of tar files, whose names are the commands that write them. See Location."""

    def __str__(self) -> str:
        return PIPE

    def path(self, name: str) -> str:
        """The command as users write it."""
        return f"{PIPE}{name}"

    def folders(self) -> list[str]:
        """Always empty."""
        return []

    def read_text(self, name: str) -> None:
        """Always None: nothing stands beside what a command writes."""

    def digest(self, name: str) -> Digest:
        """A hash of the command: what it will write cannot be known."""
        return Digest(hashlib.sha256(self.path(name).encode()).hexdigest(), is_sha256=False)

    def open(self, name: str) -> IO[bytes]:
        """What the command writes. The stream raises DataError if the command fails."""
        return io.BufferedReader(_Output(name))


class _Output(io.RawIOBase):
    """The standard output of a command."""

    def __init__(self, command: str) -> None:
        self._command = command
        self._complaint: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  closed with the stream
        try:
            self._process = subprocess.Popen(  # noqa: S603  the user allowed it by --allow-pipes
                shlex.split(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._complaint
            )
        except (OSError, ValueError, IndexError) as error:  # no such program, an open quotation, nothing at all
            raise DataError(f"{PIPE}{command} cannot be run: {error}") from error

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer; at the end, raise DataError unless the command has succeeded."""
        assert self._process.stdout is not None
        size: int = self._process.stdout.readinto1(buffer)  # type: ignore[attr-defined]
        if size == 0 and (code := self._process.wait()) != 0:
            self._complaint.seek(0)
            lines = self._complaint.read().decode(errors="replace").strip().splitlines()
            raise DataError(
                f"{PIPE}{self._command} failed with exit code {code}: {lines[-1] if lines else 'no message'}"
            )
        return size

    def close(self) -> None:
        """End the command."""
        if not self.closed:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._complaint.close()
        super().close()
