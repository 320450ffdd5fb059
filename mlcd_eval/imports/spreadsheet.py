"""The rows of an `.xlsx` file, which is refused where it is damaged or inflates."""

from __future__ import annotations

import io
from itertools import zip_longest
from typing import Any
from zipfile import ZipFile

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.imports.source import Source
from mlcd_eval.support.foreign import reading

LARGEST = 1 << 26
"""Bytes of XML in a spreadsheet; the largest of the known data sets has 3 million of questions and answers."""
MOST_CELLS = 10_000_000
"""Cells below a header: a few bytes of XML may name a cell at the far end of a row of 16,384."""


def spreadsheet_rows(source: Source) -> list[dict[str, Any]]:
    """The rows of the first sheet below its header; raises DataError for what is no spreadsheet, and for too large
    ones, ConfigError where the library is missing."""
    try:
        import openpyxl
    except ImportError as error:
        raise ConfigError(f"{source.path} needs the extra `pip install 'mlcd-eval[imports]'`: {error}") from error
    rows: list[dict[str, Any]] = []
    with reading(f"{source.path} is not a spreadsheet with rows"):
        _check_size(source)
        sheets = openpyxl.load_workbook(io.BytesIO(source.data), read_only=True).worksheets
        if not sheets:
            raise DataError(f"{source.path} is a spreadsheet without a sheet, expected rows")
        lines = sheets[0].iter_rows(values_only=True)
        names = [str(name) for name in next(lines, ())]
        for line in lines:
            if any(cell is not None for cell in line):
                rows.append(dict(zip_longest(names, line[: len(names)])))
            if len(rows) * len(names) > MOST_CELLS:
                raise DataError(f"{source.path} is refused: it has more than {MOST_CELLS:,} cells")
    return rows


def _check_size(source: Source) -> None:
    """A spreadsheet is an archive of XML, of which a few kilobytes may hold gigabytes."""
    with ZipFile(io.BytesIO(source.data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > LARGEST:
        raise DataError(f"{source.path} is refused: it holds {size:,} bytes, expected at most {LARGEST:,}")
