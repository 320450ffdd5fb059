import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.spec.safe_yaml import read_yaml


def test_plain_values_are_read(write):
    path = write("a: 1\nb: [x, 2.5, true]\nc: {d: null}\n")
    assert read_yaml(path) == {"a": 1, "b": ["x", 2.5, True], "c": {"d": None}}


def test_equal_keys_of_different_mappings_are_no_duplicates(write):
    assert read_yaml(write("a: {name: 1}\nb: {name: 2}\n")) == {"a": {"name": 1}, "b": {"name": 2}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"x\.yaml line 3 .*the key 'a' is given twice, first in line 1"),
        ("a:\n  b: 1\n  c: 1\n  b: 2\n", r"x\.yaml line 4 .*the key 'b' is given twice, first in line 2"),
        ("a: {b: 1, b: 1}\n", r"x\.yaml line 1 .*the key 'b' is given twice"),
        ("a: !!python/object/apply:os.system ['true']\n", r"x\.yaml line 1 .*constructor for the tag .*os\.system"),
        ("a: !thing 3\n", r"x\.yaml line 1 .*constructor for the tag '!thing'"),
        ("? [a, b]\n: 1\n", r"x\.yaml line 1 .*unhashable key"),
        ("a: 1\nb: [1\n", r"x\.yaml line 3 cannot be read as plain YAML"),
        (b"a: \x01\n", r"x\.yaml is not text in UTF-8"),
        (b"a: \xe9\n", r"x\.yaml is not text in UTF-8"),
        ("", r"x\.yaml holds nothing, expected a mapping"),
        ("- a\n", r"x\.yaml holds a list, expected a mapping"),
        ("just text", r"x\.yaml holds a str, expected a mapping"),
    ],
)
def test_a_mistake_is_one_sentence_with_file_and_line(write, text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_yaml(write(text))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml is missing"):
        read_yaml(tmp_path / "nowhere.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)
