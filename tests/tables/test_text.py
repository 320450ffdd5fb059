"""Numbers and tables as text."""

import pytest
from conftest import metric

from mlcd_eval.tables.text import cell, count, markdown_table, shown, shown_difference, shown_metric


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0.45678,), "45.68"),
        ((0.45678, "fraction", 1), "45.7"),
        ((1558.52, "points"), "1558.52"),
        ((None,), "-"),
        ((0.0,), "0.00"),
    ],
)
def test_a_number(given, text):
    assert shown(*given) == text


def test_differences_counts_and_metrics():
    assert [shown_difference(value) for value in (0.012, -0.0035, 0.0, -0.00001)] == ["+1.20", "-0.35", "0.00", "0.00"]
    assert shown_difference(1.5, "points") == "+1.50"
    assert [count(number) for number in (None, 0, 12345)] == ["-", "0", "12,345"]
    assert shown_metric(metric("a", 0.4524, (0.4142, 0.4889))) == "45.24 [41.4, 48.9]"
    assert shown_metric(metric("a", None, None)) == "-" and shown_metric(metric("a", 0.5)) == "50.00"
    assert shown_metric(metric("a", 12.0, (11.0, 13.25), unit="points")) == "12.00 [11.00, 13.25]"


def test_a_cell_is_one_line_without_html():
    assert cell("a | b\n <i>&amp;</i>") == r"a \| b &lt;i&gt;&amp;amp;&lt;/i&gt;"


def test_a_table_is_aligned():
    table = markdown_table(["m", "v", "long"], [["abcd", "1", "2"], ["e", "10", ""]])
    assert table == "| m    |   v | long |\n| ---- | --: | ---: |\n| abcd |   1 |    2 |\n| e    |  10 |      |\n"
    assert markdown_table(["a", "b"], [["x", "y"]], left=2) == "| a   | b   |\n| --- | --- |\n| x   | y   |\n"
