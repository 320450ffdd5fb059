"""The rows of an `.xlsx` file, which is refused where it is damaged or inflates."""

from __future__ import annotations

import io
import zlib
from itertools import zip_longest
from typing import Any
from zipfile import BadZipFile, ZipFile

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.imports.source import Source

LARGEST = 1 << 28
"""Bytes of XML in a spreadsheet; the largest of the known data sets has 3 million of questions and answers."""
DAMAGED = (BadZipFile, zlib.error, LookupError, ValueError, OSError, SyntaxError, EOFError, RuntimeError, TypeError)


def spreadsheet_rows(source: Source) -> list[dict[str, Any]]:
    """The rows of the first sheet below its header; raises DataError for what is no spreadsheet, and for too large
    ones, ConfigError where the library is missing."""
    try:
        import openpyxl
    except ImportError as error:
        raise ConfigError(f"{source.path} needs the extra `pip install 'mlcd-eval[imports]'`: {error}") from error
    try:
        _check_size(source)
        sheet = openpyxl.load_workbook(io.BytesIO(source.data), read_only=True).worksheets[0]
        header, *lines = sheet.iter_rows(values_only=True)
    except DAMAGED as error:
        raise DataError(f"{source.path} is not a spreadsheet with rows: {error}") from error
    names = [str(name) for name in header]
    return [dict(zip_longest(names, line[: len(names)])) for line in lines if any(cell is not None for cell in line)]


def _check_size(source: Source) -> None:
    """A spreadsheet is an archive of XML, of which a few kilobytes may hold gigabytes."""
    with ZipFile(io.BytesIO(source.data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST:
        raise DataError(f"{source.path} is refused: it holds {size:,} bytes, expected at most {LARGEST:,}")
