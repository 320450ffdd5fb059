"""Where the samples of a local tar file are, found by its headers: contents are skipped, and read later by place."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from typing import IO, NamedTuple

from mlcd_eval.data.storage.tar import IMAGE_SUFFIXES, Header, grouped
from mlcd_eval.errors import DataError

BLOCK = 512
PLAIN = (0, ord("0"))  # the type of a file without extended headers


class Place(NamedTuple):
    """Where a file is in the tar, in bytes."""

    offset: int
    size: int


class Row(NamedTuple):
    """A sample with an image. texts: its .txt and .json, where it has them."""

    key: str
    image: Place
    txt: Place | None
    json: Place | None


class TarIndex:
    """The samples of an open tar file that have an image, by row. path: its name in messages.

    Raises DataError for a damaged file.
    """

    def __init__(self, file: IO[bytes], path: str) -> None:
        self._file = file
        try:
            self.rows = [row for row in _rows(file, path) if row is not None]
        except DataError:
            raise
        except Exception as error:  # tarfile raises ValueError, KeyError and others for damaged headers
            raise DataError(f"{path} is truncated or not a tar file: {error}") from error

    def read(self, place: Place) -> bytes:
        """The contents of a file in the tar."""
        return os.pread(self._file.fileno(), place.size, place.offset)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _rows(file: IO[bytes], shard: str) -> Iterator[Row | None]:
    for key, files in grouped(_members(file, shard), shard):
        image = next((files[suffix] for suffix in IMAGE_SUFFIXES if suffix in files), None)
        yield None if image is None else Row(key, image, files.get("txt"), files.get("json"))


def _members(file: IO[bytes], shard: str) -> Iterator[tuple[str, Place]]:
    """The names and places of files. A header that is not plain is left to tarfile, which is five times slower."""
    descriptor, end = file.fileno(), os.fstat(file.fileno()).st_size
    offset = 0
    while True:
        header = os.pread(descriptor, BLOCK, offset)
        if not any(header[:BLOCK]) and len(header) == BLOCK:
            return
        if (member := _plain(header, offset)) is None:
            file.seek(offset)
            with tarfile.open(fileobj=file, mode="r:", tarinfo=Header) as archive:
                info = archive.next()
                assert info is not None, "the header is no end of the archive, and Header refuses a cut one"
                if info.issparse():
                    raise DataError(f"{shard} is refused: {info.name!r} is a sparse file, expected plain files")
                member = (info.name, Place(info.offset_data, info.size)) if info.isreg() else None
                offset = archive.offset
        else:
            offset = member[1].offset + -(-member[1].size // BLOCK) * BLOCK
        if member is not None:
            if member[1].offset + member[1].size > end:
                raise tarfile.ReadError(f"unexpected end of data in {member[0]!r}")
            if not re.match(r"__[^/]*__($|/)", member[0]):  # webdataset's metadata
                yield member


def _plain(header: bytes, offset: int) -> tuple[str, Place] | None:
    """The name and place of a file with a short name in ASCII, None for any other header."""
    if len(header) < BLOCK or header[156] not in PLAIN or header[345] or header[124] & 0x80:
        return None
    try:
        checksum, size = int(header[148:154].strip(b" \0"), 8), int(header[124:135], 8)
        name = header[:100].partition(b"\0")[0].decode("ascii")
    except ValueError:
        return None
    if checksum != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]) or name.endswith("/"):
        return None
    return name, Place(offset + BLOCK, size)
