import json
from pathlib import Path

import pytest

from mlcd_eval.errors import ConfigError, DataError
from mlcd_eval.support.documents import json_lines, parse_json, parse_yaml, read_json, read_yaml


def test_plain_values_are_read(write):
    path = write("a: 1\nb: [x, 2.5, true]\nc: {d: null}\n")
    assert read_yaml(path) == {"a": 1, "b": ["x", 2.5, True], "c": {"d": None}}


def test_equal_keys_of_different_mappings_are_no_duplicates(write):
    assert read_yaml(write("a: {name: 1}\nb: {name: 2}\n")) == {"a": {"name": 1}, "b": {"name": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: the key 'a' is given twice, first in line 1"),
        ("a:\n  b: 1\n  c: 1\n  b: 2\n", "line 4: the key 'b' is given twice, first in line 2"),
        ("a: {b: 1, b: 1}\n", "line 1: the key 'b' is given twice"),
        ("a: !!python/object/apply:os.system ['true']\n", r"line 1: got the tag .*os\.system, expected plain values"),
        ("a: !thing 3\n", "line 1: got the tag !thing"),
        ("a: !!bool maybe\n", "line 1: got the tag .*bool"),
        ("a: !!timestamp x\n", "line 1: got the tag .*timestamp"),
        ("x: 1\na: 2024-02-30\n", "line 2: got '2024-02-30': day is out of range"),
        ("a: " + "9" * 5000 + "\n", "line 1: got '9{40}': .*4300 digits"),
        ("? [a, b]\n: 1\n", "line 1: .*unhashable key"),
        ("a: 1\nb: [1\n", "line 3: "),
        ("a: &a [*a]\n", r"line 1: the alias \*a stands for nothing complete"),
        ("a: &a {<<: *a}\n", r"line 1: the alias \*a stands for nothing complete"),
        ("a: " + "[" * 100_000, "line 1: nested deeper than 100 levels"),
        ("a: " + "[" * 101 + "]" * 101, "line 1: nested deeper than 100 levels"),
        (b"a: \x01\n", "it is not text in UTF-8"),
        (b"a: \xe9\n", "it is not text in UTF-8"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_line(write, text, message):
    with pytest.raises(ConfigError, match=r"x\.yaml cannot be read as plain YAML: " + message) as caught:
        read_yaml(write(text))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("text", "held"), [("", "nothing"), ("- a\n", "a list"), ("just text", "a str")])
def test_a_file_without_a_mapping_says_what_it_holds(write, text, held):
    with pytest.raises(ConfigError, match=rf"x\.yaml holds {held}, expected a mapping"):
        read_yaml(write(text))


def test_aliases_are_counted_as_what_they_stand_for():
    lines = ["k0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"k{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 5)]
    values = parse_yaml("\n".join(lines))  # 123,456 values
    assert values["k4"][9][9][9][9] == ["x"] * 10
    lines += [f"k5: [{', '.join(['*a4'] * 10)}]"]
    with pytest.raises(ValueError, match="line 6: more than 1,000,000 values"):
        parse_yaml("\n".join(lines))


def test_merged_keys_and_anchors_are_plain_yaml():
    assert parse_yaml("base: &b {x: 1, y: 2}\nmore: {<<: *b, y: 3}\n")["more"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 200_000, "deeper than 100"),
        ('{"a":' * 200_000, "deeper than 100"),
        ("[" * 101 + "]" * 101, "deeper than 100"),
        ('{"a": [1, {"b": ' * 60 + "1" + "}]}" * 60, "deeper than 100"),
        ("9" * 5000, "4300 digits"),
        ("{a: 1}", "line 1 column 2"),
    ],
)
def test_json_that_cannot_be_read_is_a_value_error(text, message):
    with pytest.raises(ValueError, match=message):
        parse_json(text)


def test_json_within_the_bounds_is_what_json_makes_of_it():
    for text in ("[" * 100 + "]" * 100, '{"a": [1, 2.5, null, {"b": "x"}], "c": {}}', "3", '"x"'):
        assert parse_json(text) == json.loads(text)


def test_a_json_file_may_start_with_a_byte_order_mark(tmp_path):
    (tmp_path / "x.json").write_bytes(b"\xef\xbb\xbf[1]")
    assert read_json(tmp_path / "x.json") == [1]


def test_json_lines_are_numbered_objects_without_blank_lines():
    path = Path("x.jsonl")
    assert list(json_lines(['{"a": 1}\n', "\n", "  \n", '{"b": 2}'], path)) == [(1, {"a": 1}), (4, {"b": 2})]
    assert list(json_lines([b'{"a": 1}\r\n', b""], path)) == [(1, {"a": 1})]
    for bad, reason in (
        ("[1]", "got list, expected an object"),
        ('{"a": 1,}', "Expecting property name enclosed in double quotes at column 9|Illegal trailing comma.*column 8"),
        ("[" * 101 + "]" * 101, "it is nested deeper than 100 levels"),
    ):
        with pytest.raises(DataError, match=f"^x.jsonl, line 2 is no JSON object: ({reason})$"):
            list(json_lines(["{}", bad], path))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml is missing"):
        read_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)
