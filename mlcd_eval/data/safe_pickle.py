"""Pickles of plain containers, such as RefCOCO's refs(*).p, without the power that pickles have to call things."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any, NoReturn

from mlcd_eval.errors import DataError


class _Refused(Exception):
    pass


class _PlainUnpickler(pickle.Unpickler):
    """Lists, tuples, dicts, sets, text, bytes, numbers and None have codes of their own; all else is looked up by name,
    and every name is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse."""
        raise _Refused(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> NoReturn:
        """Refuse."""
        raise _Refused(f"a persistent object {pid!r}")


def read_pickle(path: Path) -> Any:
    """The containers in a pickle; raises DataError for a missing or damaged file, and for one that names anything else.

    Texts of Python 2, as in the official files, are read as UTF-8, or where they are not that as Latin-1.
    """
    for encoding in ("utf-8", "latin-1"):
        try:
            with path.open("rb") as file:
                return _PlainUnpickler(file, encoding=encoding).load()
        except _Refused as error:
            raise DataError(
                f"{path} is refused: its pickle asks for {error}, expected lists, dicts, text and numbers only"
            ) from error
        except FileNotFoundError as error:
            raise DataError(f"{path} is missing") from error
        except UnicodeDecodeError:
            continue
        except (MemoryError, OSError):
            raise
        except Exception as error:  # damaged bytes make the unpickler raise anything
            raise DataError(f"{path} is not a pickle, or damaged: {type(error).__name__}: {error}") from error
    raise AssertionError("every byte is Latin-1")
