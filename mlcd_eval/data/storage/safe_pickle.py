"""Pickles of plain containers, such as RefCOCO's refs(*).p, read without their power to call functions."""

from __future__ import annotations

import functools
import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from mlcd_eval.errors import DataError
from mlcd_eval.support.disk_memo import file_identity


class _Refused(Exception):
    pass


class _PlainUnpickler(pickle._Unpickler):
    """Refuses every name. Lists, tuples, dicts, sets, text, bytes, numbers and None have codes of their own in a
    pickle; everything else is looked up by name.

    The C unpickler would trust the sizes in a damaged file and allocate gigabytes; this one reads what is in the file.
    """

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse."""
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse."""
        raise _Refused(f"a persistent object {pid!r}")


def read_pickle(path: Path) -> Any:
    """The containers in a pickle, which the caller must not change: those of the last few files are kept.

    Raises DataError for a missing or damaged file, and for a pickle that names anything. Python 2's texts, as in the
    official files, are read as UTF-8, or as Latin-1 where they are not UTF-8.
    """
    if not path.is_file():
        raise DataError(f"{path} is missing")
    return _read(path, file_identity(path))


@functools.lru_cache(maxsize=4)
def _read(path: Path, identity: str) -> Any:
    contents = path.read_bytes()
    for encoding in ("utf-8", "latin-1"):
        try:
            return _PlainUnpickler(io.BytesIO(contents), encoding=encoding).load()
        except _Refused as error:
            raise DataError(
                f"{path} is refused: its pickle asks for {error}, expected lists, dicts, text and numbers only"
            ) from error
        except Exception as error:  # damaged bytes make the unpickler raise anything
            if isinstance(error, UnicodeDecodeError) and encoding == "utf-8":
                continue
            raise DataError(f"{path} is not a pickle, or damaged: {type(error).__name__}: {error}") from error
    raise AssertionError("the last encoding returns or raises")
