"""Where tar files are: folders of this machine, web addresses, commands, and buckets such as s3:// through fsspec."""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from braceexpand import braceexpand

from mlcd_eval.data.sources.tars import local_tars, split_path
from mlcd_eval.data.sources.wds import location_of
from mlcd_eval.data.storage.location import (
    Digest,
    ForbiddenError,
    Location,
    UnlistedFolder,
    decode_text,
    is_web_address,
)
from mlcd_eval.data.storage.remote import RemoteFolder
from mlcd_eval.errors import ConfigError, DataError
from mlcd_train.data.commands import PIPE, Commands

WHERE_KEYS_ARE = "credentials are looked for where the bucket's own tools do, such as AWS_ACCESS_KEY_ID or ~/.aws"


def tar_files(address: str) -> list[tuple[str, str]]:
    """The folder and name of each tar file of braces, globs or folders, in the order of braces, those of a glob sorted.

    Of `pipe:COMMAND` the folder is `pipe:` and the name the command. Raises DataError where there is no file.
    """
    if address.startswith(PIPE):
        return [(PIPE, command) for command in braceexpand(address.removeprefix(PIPE))]
    paths = [path for pattern in braceexpand(address) for path in _matching(pattern, address)]
    return [split_path(path) for path in paths]


def _matching(pattern: str, address: str) -> list[str]:
    if is_web_address(pattern):
        return [pattern]
    if not is_bucket(pattern):
        return local_tars(pattern, address)
    paths = Bucket(pattern).matching(pattern) if re.search(r"[*?\[]", pattern) else [pattern]
    if not paths:
        raise DataError(f"there is no file {pattern} of tars:{address}: expected tar files")
    return paths


def is_bucket(address: str) -> bool:
    """Whether fsspec reads it: an address that is neither a path nor on the web."""
    return re.match(r"[a-z][a-z0-9+.-]*://", address) is not None and not is_web_address(address)


def place_of(folder: str) -> Location:
    """The folder of tar files. Each process has its own, since processes must not share connections."""
    return _place(folder, os.getpid())


@lru_cache(maxsize=1024)
def _place(folder: str, process: int) -> Location:
    if folder == PIPE:
        return Commands()
    return Bucket(folder) if is_bucket(folder) else location_of(folder, offline=False)


def is_missing(place: Location, name: str) -> bool:
    """Whether the server or bucket says that there is no such file; a command says so only when it is run."""
    if isinstance(place, Commands):
        return False
    if isinstance(place, Bucket):
        return not place.has(name)
    if isinstance(place, RemoteFolder):
        with place.request("HEAD", place.path(name)) as response:
            return response.status_code in (404, 410)
    return not Path(place.path(name)).exists()


class Bucket(UnlistedFolder):
    """A folder of object storage, read by fsspec and the package of the storage's kind. See Location."""

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        protocol = root.partition("://")[0]
        try:
            import fsspec

            self._files: Any = fsspec.filesystem(protocol)
        except (ImportError, ValueError) as error:
            raise ConfigError(
                f"{root} cannot be read: {error} (expected fsspec with s3fs for s3://, gcsfs for gs://)"
            ) from error
        except Exception as error:  # each storage has errors of its own, as for missing credentials
            raise _unreadable(root, error) from error

    def path(self, name: str) -> str:
        """The full address of a file."""
        return f"{self.root}/{name}"

    def matching(self, pattern: str) -> list[str]:
        """The full addresses of the files of a glob, sorted."""
        try:
            return sorted(map(self._files.unstrip_protocol, self._files.glob(pattern)))
        except Exception as error:
            raise _unreadable(pattern, error) from error

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        try:
            return bool(self._files.exists(self.path(name)))
        except Exception as error:
            raise _unreadable(self.path(name), error) from error

    def read_text(self, name: str) -> str | None:
        """A small UTF-8 file, None where there is none."""
        try:
            return decode_text(self._files.cat_file(self.path(name)), self.path(name))
        except FileNotFoundError:
            return None
        except DataError:
            raise
        except Exception as error:
            raise _unreadable(self.path(name), error) from error

    def digest(self, name: str) -> Digest:
        """A hash of the address, the size, and what changes with the contents: ETag, checksum, or time of change."""
        try:
            facts = self._files.info(self.path(name))
        except Exception as error:
            raise _unreadable(self.path(name), error) from error
        keys = ("ETag", "etag", "md5Hash", "crc32c", "LastModified", "mtime", "created")
        version = next((facts[key] for key in keys if facts.get(key)), None)
        line = f"{self.path(name)} {version} {facts.get('size')}"
        return Digest(hashlib.sha256(line.encode()).hexdigest(), is_sha256=False)

    def open(self, name: str) -> IO[bytes]:
        """The file, for reading."""
        try:
            stream: IO[bytes] = self._files.open(self.path(name), "rb")
        except Exception as error:
            raise _unreadable(self.path(name), error) from error
        return stream


def text_beside(place: Location, name: str) -> str | None:
    """A small file beside a tar file; None where there is none. Storage of S3's kind forbids to read what is not there
    to whom may not list it."""
    try:
        return place.read_text(name)
    except ForbiddenError:
        return None


def _unreadable(address: str, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"there is no file {address}")
    text = str(error).strip().partition("\n")[0]
    kind = ForbiddenError if isinstance(error, PermissionError) else DataError
    return kind(f"{address} cannot be read: got {type(error).__name__}: {text} ({WHERE_KEYS_ARE})")
