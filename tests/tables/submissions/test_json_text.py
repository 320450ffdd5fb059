"""Insertion into JSON: the value arrives, and not one byte elsewhere changes."""

import json

import pytest

from mlcd_eval.tables.submissions.json_text import insert

VALUE = {"n": "café", "list": [1, {"x": None}]}
WHOLE = {"a": {"b": [{"k": 1}, {"k": '] , } \\"'}, []]}, "z": [[]], "e": []}
LAYOUTS = {
    "two spaces": json.dumps(WHOLE, indent=2),
    "tabs and a line at the end": json.dumps(WHOLE, indent="\t") + "\n",
    "compact": json.dumps(WHOLE, separators=(",", ":")),
    "one line": json.dumps(WHOLE),
    "uneven": '\r\n{ "a" :{"b": [ {"k":1.0e0},\r\n   {"k": "] , } \\\\\\""} ,[] ]},"z":[[\n]], "e" : [ ] }\r\n',
}


@pytest.mark.parametrize("text", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(
    ("path", "position"), [(("a", "b"), 0), (("a", "b"), 2), (("a", "b"), 3), (("z", 0), 0), (("e",), 0), (("z",), 1)]
)
def test_the_value_is_inserted_and_every_other_byte_stays(text, path, position):
    after = insert(text, path, position, VALUE)
    expected = json.loads(text)
    place = expected
    for part in path:
        place = place[part]
    place.insert(position, VALUE)
    assert json.loads(after) == expected
    rest = iter(after)
    assert all(character in rest for character in text.replace(" ", "").replace("\n", ""))  # in order, all there
    added = len(after) - len(text)
    start = next(at for at, (old, new) in enumerate(zip(text + "\0", after, strict=False)) if old != new)
    blank = " \t\r\n"
    assert after[start + added :].lstrip(blank) == text[start:].lstrip(blank)


@pytest.mark.parametrize("indent", [2, 4, "\t"])
def test_a_file_that_json_wrote_is_as_json_would_write_it(indent):
    text = json.dumps(WHOLE, indent=indent)
    for position in range(4):
        expected = json.loads(text)
        expected["a"]["b"].insert(position, VALUE)
        assert insert(text, ("a", "b"), position, VALUE) == json.dumps(expected, indent=indent)
    expected = json.loads(text)
    expected["e"].append("ü")
    assert insert(text, ("e",), 0, "ü") == json.dumps(expected, indent=indent)


def test_letters_are_written_as_the_file_has_them():
    assert insert('["é"]', (), 1, "ü") == '["é", "ü"]'
    assert insert('["e"]', (), 1, "ü") == '["e", "\\u00fc"]'


def test_a_place_that_is_not_there():
    with pytest.raises(KeyError, match="c"):
        insert('{"a": []}', ("c",), 0, 1)
