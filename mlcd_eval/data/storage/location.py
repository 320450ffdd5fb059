"""Where a dataset's files are: a local folder or a web address. Readers above see one interface."""

from __future__ import annotations

from pathlib import Path
from typing import IO, NamedTuple, Protocol

from mlcd_eval.errors import DataError, nearest

HUB = "https://huggingface.co"


class ForbiddenError(DataError):
    """What the storage does not let us read."""


class Digest(NamedTuple):
    """What identifies a file's contents. is_sha256: it is the sha256 of the contents, which can be compared with it."""

    value: str
    is_sha256: bool


class Location(Protocol):
    """A folder of files, read by name relative to its root (`test/0.tar`). All methods raise DataError on failure."""

    def __str__(self) -> str:
        """The root as the user wrote it."""

    def path(self, name: str) -> str:
        """The full path or URL of a file, for messages."""

    def folders(self) -> list[str]:
        """Names of the sub-folders, sorted; empty where they cannot be listed (a web address)."""

    def read_text(self, name: str) -> str | None:
        """A small UTF-8 file, None where there is none."""

    def digest(self, name: str) -> Digest | None:
        """The identity of a file's contents, None where only reading it shows it (a local file)."""

    def open(self, name: str) -> IO[bytes]:
        """A stream to read forward; a stream cut short raises DataError."""


class LocalFolder:
    """A folder on this machine."""

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            siblings = [path.name for path in root.parent.iterdir()] if root.parent.is_dir() else []
            raise DataError(f"there is no dataset folder {root}{nearest(root.name, siblings)}")
        self.root = root

    def __str__(self) -> str:
        return str(self.root)

    def path(self, name: str) -> str:
        """The file's path."""
        return str(self.root / name)

    def folders(self) -> list[str]:
        """All sub-folders, sorted."""
        return sorted(path.name for path in self.root.iterdir() if path.is_dir())

    def read_text(self, name: str) -> str | None:
        """A small UTF-8 file, None where there is none."""
        if not (self.root / name).is_file():
            return None
        with self.open(name) as file:
            return decode_text(file.read(), self.path(name))

    def digest(self, name: str) -> None:
        """Unknown before the file is read."""

    def open(self, name: str) -> IO[bytes]:
        """The file, for reading."""
        try:
            return (self.root / name).open("rb")
        except OSError as error:
            raise DataError(f"{self.root / name} cannot be read: {error.strerror}") from error


class UnlistedFolder:
    """A folder elsewhere, known by its address, whose sub-folders are not listed."""

    root: str

    def __str__(self) -> str:
        return self.root

    def folders(self) -> list[str]:
        """Always empty."""
        return []


def is_web_address(root: str) -> bool:
    """Whether it is an address and no folder."""
    return root.startswith(("http://", "https://"))


def hub_address(repository: str, revision: str | None = None) -> str:
    """The web address of a dataset repository on the hub, at a commit, branch or tag if one is given."""
    return f"{HUB}/datasets/{repository}{f'/tree/{revision}' if revision else ''}"


def decode_text(contents: bytes, path: str) -> str:
    """UTF-8 text (a byte-order mark is dropped); raises DataError on anything else."""
    try:
        return contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
