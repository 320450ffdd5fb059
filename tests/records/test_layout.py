"""The quick reader of records takes nothing that `store.read` would not take, and with the same values."""

import hashlib
import json
import random

import pytest
from conftest import make_result, metric
from pydantic_core import ValidationError

from mlcd_eval.errors import DataError
from mlcd_eval.records import ResultStore, layout, store
from mlcd_eval.records.checksum import CHECKSUM, canonical, checksum
from mlcd_eval.records.layout import Layout
from mlcd_eval.records.parts import Parts
from mlcd_eval.records.result import Result


@pytest.fixture
def path(tmp_path):
    """A record with texts, floats and all that a record can hold."""
    request = {"command": 'mlcd-eval run --model "é\n"', "dataset": "x", "options": {"tasks": ["a,\n  b"], "n": 1e-7}}
    more = {"details": {"prompts": "p", "\udcff": [{"deep": [1, None]}]}, "request": request, "error": ',\n  "seed": 3'}
    result = make_result(metrics=[metric("acc1", 0.1 + 0.2, (1e-9, 1.0)), metric("acc5", None)], **more)
    results = ResultStore(tmp_path)
    results.write(result, {"key": ["x"], "rank": [1]})
    return results.path(result)


def quickly(text):
    parts = Parts([])
    row = Layout(parts).row(text)
    return None if row is None else parts.result(json.loads(json.dumps(row)))


def slowly(path, text):
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return store.read(path)
    except DataError:
        return None


def changed(values, **changes):
    """The text of a record with other values and their checksum, laid out as records are."""
    values = {key: value for key, value in (values | changes).items() if key != CHECKSUM and value is not ...}
    values[CHECKSUM] = checksum(values)
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def test_what_was_written_is_read_quickly_and_with_equal_values(path):
    text = path.read_text(encoding="utf-8")
    assert quickly(text) == store.read(path)
    assert quickly(text).model_dump() == store.read(path).model_dump()
    values = json.loads(text)
    for changes in ({}, {"efficiency": ...}, {"outcomes": ..., "limit": ...}, {"metrics": ...}):  # of earlier versions
        of_version = changed(values, **changes)
        assert quickly(of_version) == slowly(path, of_version) is not None


DEEP = {f"deep{depth}": {"details": {"a": json.loads("[" * depth + "]" * depth)}} for depth in (97, 98, 99)}
CHANGES = {
    **DEEP,
    "a field too many": {"other": 1},
    "none of the version": {"schema_version": ...},
    "another version": {"schema_version": 2},
    "no task": {"task": ...},
    "a null": {"task": None},
    "a text for a number": {"seed": "3"},
    "a fraction for a number": {"seed": 1.5},
    "a truth for a number": {"seed": True},
    "a number for a text": {"error": 3},
    "another status": {"status": "fine"},
    "a list for an object": {"environment": []},
    "a field too many below": {"timing": {"started": "x", "other": 1}},
    "an infinite value": {"metrics": [{"name": "a", "value": float("inf"), "num_scored": 1}]},
    "a huge value": {"metrics": [{"name": "a", "value": 1e301, "num_scored": 1}]},
    "no value": {"metrics": [{"name": "a", "num_scored": 1}]},
    "three ends": {"metrics": [{"name": "a", "value": 0, "num_scored": 1, "ci95": [1, 2, 3]}]},
    "a number that is none": {"details": {"x": float("nan")}},
    "a path": {"outcomes": {"file": "../x.npz", "sha256": "0" * 64, "keys": "0" * 64}},
}


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_values_are_checked_as_they_are_slowly(path, changes):
    text = changed(json.loads(path.read_text(encoding="utf-8")), **changes)
    assert quickly(text) == slowly(path, text)


def test_whatever_is_done_to_a_file_is_no_other_record(path):
    whole = path.read_text(encoding="utf-8")
    values = json.loads(whole)
    without = json.dumps({key: value for key, value in values.items() if key != CHECKSUM}, indent=2) + "\n"
    chance, taken = random.Random(0), 0
    for text in [whole, without] * 300:
        lines = text.splitlines(keepends=True)
        place, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        at = chance.randrange(len(text))
        edits = [
            lambda text=text, at=at: text[:at] + chance.choice('0123456789,:"[]{} \n\\eE.-é\ud800') + text[at + 1 :],
            lambda text=text, at=at: text[:at] + text[at + 1 :],
            lambda lines=lines, place=place: "".join(lines[:place] + lines[place + 1 :]),
            lambda lines=lines, place=place, other=other: "".join([*lines[:place], lines[other], *lines[place:]]),
            lambda text=text: text.replace("  ", chance.choice(["", " ", "\t", "    "])),
            lambda text=text: chance.choice(["\ufeff", " ", "\n", "[", "{"]) + text,
            lambda text=text: text.replace("\n", "\r\n"),
            lambda text=text: text.replace(f'"{CHECKSUM}": "', f'"{CHECKSUM}": null, "x": "'),
            lambda text=text: text.replace(f'"{CHECKSUM}": "', f'"{CHECKSUM}": 3, "{CHECKSUM}": "'),
        ]
        edited = chance.choice(edits)()
        result = quickly(edited)
        assert result is None or result == slowly(path, edited)
        taken += result is not None
    assert 20 < taken < 300


def test_a_value_is_checked_once_until_many_are_known(path, monkeypatch):
    text = path.read_text(encoding="utf-8")
    seen, check = [], layout._check
    monkeypatch.setattr(layout, "_check", lambda field: seen.append(field) or check(field))
    reader = Layout(Parts([]))
    reader.row(text)
    first = len(seen)
    assert first == len(Result.model_fields)
    reader.row(text)
    assert sorted(seen[first:]) == sorted(layout.OWN)
    monkeypatch.setattr(layout, "MOST", 1)
    small = Layout(Parts([]))
    small.row(text)
    assert len(small._known) == 1


def test_fields_can_be_checked_one_by_one_since_none_is_checked_with_others():
    decorators = Result.__pydantic_decorators__
    assert not decorators.model_validators and not decorators.root_validators and not decorators.field_validators
    with pytest.raises(ValidationError):
        layout._check("seed").validate_python(None)


def test_a_checksum_is_of_the_canonical_text():
    values = {"b": 1.5, "é": {"z": [1, None], "a": "\udcff"}, "a": "x", CHECKSUM: "y"}
    text = '{"a": "x", "b": 1.5, "\\u00e9": {"a": "\\udcff", "z": [1, null]}}'
    assert checksum(values) == hashlib.sha256(text.encode()).hexdigest()
    assert canonical({key: value for key, value in values.items() if key != CHECKSUM}) == text
