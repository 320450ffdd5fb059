"""Whose error it is: the library's becomes a sentence, ours keeps its traceback."""

import errno
import json
import zlib

import pytest

from mlcd_eval.errors import CheckpointError, DataError
from mlcd_eval.support.foreign import reading


def of_ours(function):
    """The function as if it were in our package."""
    scope = {"__name__": "mlcd_eval.somewhere"}
    exec(function, scope)
    return scope["run"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: json.loads("{"), "Expecting property name"),  # a line of the library
        (lambda: zlib.decompress(b"x"), "Error -5"),  # C code, its own type
        (lambda: bytes.fromhex("x"), "non-hexadecimal"),  # C code, a type that says that the value is wrong
        (lambda: json.loads(json), "TypeError: the JSON object must be"),  # of the library's own line
    ],
)
def test_a_librarys_error_becomes_a_sentence(call, message):
    with pytest.raises(DataError, match=rf"^f\.json is damaged: .*({message})"), reading("f.json is damaged"):
        call()


def test_the_class_of_the_error_is_the_callers():
    with pytest.raises(CheckpointError), reading("x", CheckpointError):
        zlib.decompress(b"x")


@pytest.mark.parametrize(
    "body",
    [
        "def run():\n    raise ValueError('a mistake of ours')",
        "def run():\n    return {}['a']",
        "def run():\n    return None.x",
    ],
)
def test_an_error_of_a_line_of_ours_keeps_its_traceback(body):
    run = of_ours(body)
    with pytest.raises((ValueError, KeyError, AttributeError)) as caught, reading("f.json is damaged"):
        run()
    assert not isinstance(caught.value, DataError)


def test_a_mistake_in_the_block_itself_is_ours():
    run = of_ours("from mlcd_eval.support.foreign import reading\ndef run():\n    with reading('x'):\n        None + 1")
    with pytest.raises(TypeError):
        run()


def test_an_error_that_is_a_sentence_already_stays_as_it_is():
    with pytest.raises(DataError, match=r"^ours$"), reading("x"):
        raise DataError("ours")


def test_a_full_disk_is_not_blamed_on_the_file():
    def fill():
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "/cache")
        except OSError as error:
            raise RuntimeError("a library's own") from error

    with pytest.raises(OSError, match="No space left"), reading("f.parquet is damaged"):
        fill()


def test_memory_is_not_blamed_on_the_file_unless_the_library_says_so():
    class ArrowMemoryError(MemoryError):
        """As Arrow raises over a size that it read."""

    with pytest.raises(MemoryError), reading("x"):
        raise MemoryError
    with pytest.raises(DataError, match=r"^x: ArrowMemoryError$"), reading("x"):
        raise ArrowMemoryError


def test_a_panic_of_rust_code_is_the_files_fault():
    class PanicException(BaseException):
        """As pyo3 raises where Rust code panics."""

    with pytest.raises(DataError, match=r"^x: index out of bounds$"), reading("x"):
        raise PanicException("index out of bounds")
    with pytest.raises(KeyboardInterrupt), reading("x"):
        raise KeyboardInterrupt
