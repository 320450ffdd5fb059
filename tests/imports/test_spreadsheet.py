"""The rows of a spreadsheet: empty ones are left out, short ones are filled."""

import io
from pathlib import Path

import pytest

from mlcd_eval.errors import DataError
from mlcd_eval.imports import spreadsheet
from mlcd_eval.imports.source import Source

openpyxl = pytest.importorskip("openpyxl")


def source(*rows):
    book, file = openpyxl.Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(file)
    return Source("vlmevalkit", Path("x.xlsx"), file.getvalue())


def test_rows_below_the_header():
    given = source(["index", "answer"], [1, "ink"], [None, None], [2], [None, "red"])
    assert spreadsheet.spreadsheet_rows(given) == [
        {"index": 1, "answer": "ink"},
        {"index": 2, "answer": None},
        {"index": None, "answer": "red"},
    ]


def test_a_spreadsheet_that_inflates_is_refused(monkeypatch):
    given = source(["a"], [1])
    monkeypatch.setattr(spreadsheet, "LARGEST", 100)
    with pytest.raises(DataError, match=r"^x.xlsx is refused: it holds [0-9,]+ bytes, expected at most 100$"):
        spreadsheet.spreadsheet_rows(given)
