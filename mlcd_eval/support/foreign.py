"""Libraries that read what users hand us: what they raise over a file becomes one sentence that names it."""

from __future__ import annotations

import errno
import textwrap
from collections.abc import Iterator
from types import TracebackType

from mlcd_eval.errors import DataError, UserError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
"""A disk that is full or cannot be written to: no fault of the file that is read, as where a library fills a cache."""

PACKAGES = ("mlcd_eval", "mlcd_train")
_PLAIN = (OSError, ValueError, RuntimeError, EOFError)
_MISTAKES = (TypeError, LookupError, AttributeError, NameError, AssertionError)


class reading:
    """A context manager around calls of one library, in which every exception of the library becomes a UserError.

    sentence: what is wrong, with the file's name ("PATH is no Parquet file"); the library's reason is added to it.
    error: the class of UserError. These pass unchanged: a UserError, an error that a line of ours raises, which is a
    bug and keeps its traceback, the OSError of a full disk, and a MemoryError, unless it is of a library's own type,
    which says that a size in the file was wrong.
    """

    def __init__(self, sentence: str, error: type[UserError] = DataError) -> None:
        self._sentence, self._error = sentence, error

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None or not (isinstance(error, Exception) or _is_panic(error)):
            return
        for cause in _causes(error):
            if isinstance(cause, OSError) and cause.errno in DISK_ERRORS:
                raise cause
        if isinstance(error, UserError) or type(error) is MemoryError or _is_ours(error, traceback):
            return
        raise self._error(f"{self._sentence}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The message of a library's error in one line, with the error's type where the message alone says little."""
    message = textwrap.shorten(" ".join(str(error).split()), 300, placeholder=" ...")
    kind = type(error).__name__
    if message and (type(error).__module__ != "builtins" or isinstance(error, _PLAIN)):
        return message
    return f"{kind}: {message}" if message else kind


def _is_panic(error: BaseException) -> bool:
    """Whether Rust code of a library (tokenizers, safetensors) met what it holds for impossible."""
    return type(error).__name__ == "PanicException"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and those that led to it."""
    seen: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in seen:
        seen.append(current)
        yield current
        current = current.__cause__ or current.__context__


def _is_ours(error: BaseException, traceback: TracebackType | None) -> bool:
    """Whether a line of ours raised it. Code in C leaves no frame in a traceback: what ends in the block itself, where
    the library is called, is the library's unless it is of a type that mistakes in Python have."""
    home = type(error).__module__.partition(".")[0]
    if home != "builtins":
        return home in PACKAGES
    frames = []
    while traceback is not None:
        frames.append(traceback.tb_frame.f_globals.get("__name__", "").partition(".")[0])
        traceback = traceback.tb_next
    return frames[-1] in PACKAGES and (len(frames) > 1 or isinstance(error, _MISTAKES))
