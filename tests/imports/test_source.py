"""Files of other harnesses as text, JSON, lines and tables."""

import hashlib
from pathlib import Path

import pytest

from mlcd_eval.errors import DataError
from mlcd_eval.imports.source import Source, as_dict


def source(data, name="x.json"):
    return Source("lm-eval", Path(name), data)


def test_a_file_is_read_with_its_hash(tmp_path):
    (tmp_path / "a.json").write_bytes(b"{}")
    read = Source.of("mteb", tmp_path / "a.json")
    assert (read.harness, read.data, read.sha256) == ("mteb", b"{}", hashlib.sha256(b"{}").hexdigest())
    with pytest.raises(DataError, match=f"^{tmp_path} cannot be read: Is a directory, expected a result file of mteb$"):
        Source.of("mteb", tmp_path)


def test_a_mark_of_byte_order_is_no_text():
    assert source(b"\xef\xbb\xbf{}").text() == "{}" and source(b"\xef\xbb\xbf[1]").json() == [1]


def test_lines_are_counted_and_blank_ones_left_out():
    assert source(b'{"a": 1}\n\n  \n{"b": 2}\n').json_lines() == [{"a": 1}, {"b": 2}]
    for bad in (b"3", b"{", b"[]"):
        with pytest.raises(DataError, match=r"^x.json, line 3 is no JSON object: "):
            source(b'{"a": 1}\n\n' + bad).json_lines()


def test_tables_leave_out_empty_cells():
    assert source(b"a,b\n1,\n,2\n").rows() == [{"a": "1"}, {"b": "2"}]
    assert source(b"a\tb\n1\t2\n").rows("\t") == [{"a": "1", "b": "2"}]
    for bad in (b"a,b\n", b"", b"a,b\n1\n", b"a,b\n1,2,3\n", b"a,b\n1,2\n1\n"):
        with pytest.raises(DataError, match=r"x.json is not a table: got no row, or rows of different length$"):
            source(bad).rows()
    with pytest.raises(DataError, match=r"x.json is not CSV: .*, expected a result file of lm-eval"):
        source(b'a,b\n"1"x,2\n').rows()


def test_the_name_says_what_the_content_is():
    assert source(b"a\n1\n", "x.CSV").content() == [{"a": "1"}] and source(b"[1]").content() == [1]
    assert as_dict({"a": 1}) == {"a": 1} and as_dict([1]) == as_dict(None) == {}


@pytest.mark.parametrize(
    ("content", "like"),
    [
        ({"schema_version": 1, "metrics": []}, "one of mlcd-eval"),
        ({"schema_version": 1}, "none that is known"),
        ({"metrics": []}, "none that is known"),
        ([], "none that is known"),
        ([[1]], "none that is known"),
        (None, "none that is known"),
    ],
)
def test_content_of_others_is_told_apart(content, like):
    with pytest.raises(DataError, match=f"^x.json is not a result file of lm-eval: it looks like {like}$"):
        source(b"").check(content)
