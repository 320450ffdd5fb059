"""Numbers as they are printed, and what is nearest to them."""

from types import SimpleNamespace

import pytest

from mlcd_eval.errors import ConfigError
from mlcd_eval.tables.explaining import stated
from mlcd_eval.tables.explaining.printed import Printed, equally_near, printed_text
from mlcd_eval.tables.explaining.stated import stated_values
from mlcd_eval.tables.explaining.targets import Target


@pytest.mark.parametrize(
    ("text", "value", "step"),
    [
        ("0.712", 0.712, 0.001),
        ("71.2", 0.712, 0.001),
        ("71.2%", 0.712, 0.001),
        ("0.5%", 0.005, 0.001),
        ("71.20", 0.712, 0.0001),
        ("1", 1.0, 1.0),
        ("100", 1.0, 0.01),
        ("0", 0.0, 1.0),
    ],
)
def test_a_value_is_a_fraction_or_per_cent_with_its_digits(text, value, step):
    printed = printed_text(text)
    assert (printed.value, printed.step) == (pytest.approx(value), pytest.approx(step))


@pytest.mark.parametrize("text", ["", "x", "-1", "101", "nan", "inf", "150%", "0.7.1"])
def test_other_texts_are_refused_in_one_sentence(text):
    with pytest.raises(
        ConfigError, match=r"--value: got .*, expected a fraction such as 0.712, or per cent such as 71.2"
    ):
        printed_text(text)


@pytest.mark.parametrize(
    ("value", "distance"),
    [
        (0.712, 0),
        (0.71249, 0),
        (0.7115, 0),  # half way: either
        (0.7125, 0),
        (0.7126, 1),
        (0.7114, 1),
        (0.7136, 2),
        (0.6, 112),
    ],
)
def test_the_distance_is_that_of_the_rounded_values(value, distance):
    assert Printed(0.712, 0.001).distance(value) == distance


def test_values_that_print_alike_are_equally_near():
    values = {"a": 0.7118, "b": 0.7122, "c": 0.7131, "far": 0.4}
    assert equally_near(values, Printed(0.712, 0.001)) == ["a", "b"]
    assert equally_near(values, Printed(0.71221, 0.00001)) == ["b"]
    assert equally_near(values, Printed(0.715, 0.001)) == ["c"]
    assert equally_near({"below": 0.709, "above": 0.715}, Printed(0.712, 0.001)) == ["below", "above"]


def test_small_lattices_are_whole_and_of_large_ones_the_neighbourhood(monkeypatch):
    values = {"a": [1, 2, 3], "b": ["x", "y"]}
    factors = SimpleNamespace(values=values, size=6, own=(0, 0), named={"other": (2, 1)})
    monkeypatch.setattr(stated, "MOST", 6)
    whole = stated.every_point(factors)
    assert whole == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (2, 1)]
    monkeypatch.setattr(stated, "MOST", 5)
    assert set(stated.every_point(factors)) == set(whole)  # here each point has a named one beside it
    assert stated.every_point(factors)[:2] == [(0, 0), (2, 1)]


def test_the_settings_that_sources_state():
    """A metric that a target names is a value of the setting metric; one that names none adds nothing."""
    printed = printed_text("41.5")
    assert stated_values([Target(printed, "acc5"), Target(printed, None)]) == {"metric": ["acc5"]}
