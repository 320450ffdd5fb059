"""Copies of remote tar files on this machine's disk, at most as many bytes of them as the settings allow."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mlcd_eval.errors import DataError
from mlcd_eval.support.fileio import atomic_write
from mlcd_train.data.shards import Gone
from mlcd_train.data.storage import is_missing, place_of

BLOCK = 1 << 20
TRIES = 3  # downloads of a copy that others delete


@dataclass(frozen=True)
class ShardCache:
    """folder: of the copies. limit: bytes, of files that are not open."""

    folder: Path
    limit: int

    def copy_of(self, folder: str, name: str, digest: str) -> IO[bytes]:
        """The copy of a remote file, opened, and downloaded unless it is there. digest: of the file at the scan.

        Raises Gone where the file is no longer there, DataError where it has changed since, and for a transfer that
        stays broken.
        """
        path = self.folder / f"{hashlib.sha256(f'{folder} {name} {digest}'.encode()).hexdigest()[:32]}.tar"
        for _ in range(TRIES):
            with contextlib.suppress(FileNotFoundError):  # or another process deletes it now
                file = path.open("rb")
                os.utime(file.fileno())  # the least recently used are deleted first
                return file
            self._download(folder, name, digest, path)
        raise DataError(f"{self.folder}: copies are deleted before they are read, expected a larger data.shard_cache")

    def _download(self, folder: str, name: str, digest: str, path: Path) -> None:
        place = place_of(folder)
        if is_missing(place, name):
            raise Gone(f"{place.path(name)}, which is missing: it was there when it was scanned")
        identity = place.digest(name)
        assert identity is not None, "remote files have a digest before they are read"
        if identity.value != digest:
            raise DataError(
                f"{place.path(name)} changed since it was scanned: run the same command again, which scans it anew"
            )
        self._make_room()
        with place.open(name) as source, atomic_write(path) as target:
            try:
                shutil.copyfileobj(source, target, BLOCK)
            except DataError:
                raise
            except Exception as error:  # each storage has errors of its own
                raise DataError(f"{place.path(name)} was cut short: {type(error).__name__}: {error}") from error

    def _make_room(self) -> None:
        """Delete the copies that were used least recently, until the others take less than the limit."""
        files = []
        for path in self.folder.glob("*.tar"):
            with contextlib.suppress(FileNotFoundError):  # another process deletes too
                status = path.stat()
                files.append((status.st_mtime_ns, status.st_size, path))
        used = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if used < self.limit:
                return
            path.unlink(missing_ok=True)  # a process that has it open reads on
            used -= size
