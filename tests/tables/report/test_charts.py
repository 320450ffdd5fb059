"""Charts: what the page's script gets, and the numbers below them."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import metric

import mlcd_eval.tables.report
from mlcd_eval.tables.report.charts import MOST_ROWS, Axis, Chart, Point, Series, value_axis
from mlcd_eval.tables.report.page import template

FOLDER = Path(mlcd_eval.tables.report.__file__).parent
ODD = [
    "</script><script>alert(1)</script>",
    "\"quoted\" & 'so'",
    "猫🐈",
    "نموذج الرؤية",
    "n" * 300,
    "\u2028{{ 7 * 7 }}",
]

FOREST = Chart(
    "acc1 of pets",
    value_axis(metric("acc1", 0.5)),
    Axis("model", scale="names"),
    [Series("records", [Point(0.523456789, "a", (0.5, 0.54), opens=3), Point(0.25, "b")])],
)
LINES = Chart(
    "run: loss",
    Axis("step", unit="count"),
    Axis("loss"),
    [
        Series("train", [Point(1, 2.5), Point(2, None), Point(1000, 1.25)], line=True, dots=False),
        Series("end", [Point(1000, 1.0, note="last", share=0.5)], tone="muted"),
    ],
)


def test_the_script_gets_points_as_columns_of_six_digits_and_nothing_that_is_not_said():
    assert FOREST.spec() == {
        "x": {"label": "acc1", "scale": "linear", "unit": "fraction", "heading": "acc1, per cent"},
        "y": {"label": "model", "scale": "names", "unit": "number", "heading": "model"},
        "summary": "records: 2 points from 25.00 to 52.35",
        "series": [
            {
                "name": "records", "line": False, "dots": True, "labelled": False,
                "x": [0.523457, 0.25], "y": ["a", "b"], "low": [0.5, None], "high": [0.54, None],
            }
        ],
    }  # fmt: skip
    train, end = LINES.spec()["series"]
    assert (train["x"], train["y"], "low" in train) == ([1, 2, 1000], [2.5, None, 1.25], False)
    assert (end["note"], end["share"], end["tone"]) == (["last"], [0.5], "muted")
    assert LINES.spec()["summary"] == "train: 2 points from 1.25 to 2.5; end: 1"


def test_the_numbers_are_those_of_the_points():
    header = ["model", "acc1, per cent", "95% interval"]
    assert FOREST.numbers() == (header, [(["a", "52.35", "[50.0, 54.0]"], 3), (["b", "25.00", ""], None)], "")
    header, rows, note = LINES.numbers()
    assert header == ["series", "step", "loss", "note"] and note == ""
    assert [cells for cells, _ in rows] == [
        ["train", "1", "2.5", ""],
        ["train", "1,000", "1.25", ""],
        ["end", "1,000", "1", "last"],
    ]


def test_an_axis_says_its_unit_and_scale():
    assert Axis("GFLOPs", scale="log").heading == "GFLOPs, log scale"
    change = Axis("difference", unit="difference")
    assert (change.heading, change.text(0.05), change.text(-0.002)) == ("difference, points", "+5.00", "-0.20")
    assert value_axis(metric("nll", 1.5, unit="nats")).text(1.5) == "1.5"


def test_a_long_line_has_some_of_its_numbers_and_all_of_its_points():
    points = [Point(step, step / 8) for step in range(10 * MOST_ROWS)]
    chart = Chart("long", Axis("step", unit="count"), Axis("loss"), [Series("loss", points, line=True)])
    _, rows, note = chart.numbers()
    assert len(rows) == MOST_ROWS and note == f"{MOST_ROWS} of 2,000 points, evenly spaced."
    assert rows[0][0] == ["0", "0"] and rows[-1][0] == ["1,999", "249.875"]
    assert len(chart.spec()["series"][0]["x"]) == 2_000


class Reader(HTMLParser):
    """The texts of cells, and of scripts."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.scripts, self._into = [], [], None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        into = {"td": self.cells, "th": self.cells, "script": self.scripts}.get(tag)
        if into is not None:
            into.append("")
            self._into = into

    def handle_endtag(self, tag):
        if tag in ("td", "th", "script"):
            self._into = None

    def handle_data(self, data):
        if self._into is not None:
            self._into[-1] += data


@pytest.mark.parametrize("odd", ODD)
def test_odd_names_stay_text(odd):
    chart = Chart(odd, Axis(odd), Axis("model", scale="names"), [Series(odd, [Point(1.0, odd, note=odd)])])
    text = template("chart.html.jinja").module.figure(chart)
    found = Reader(text)
    [script] = found.scripts
    spec = json.loads(script)
    assert spec["series"][0]["y"] == spec["series"][0]["note"] == [odd]
    assert found.cells.count(odd) == 3 and "alert(1)</script>" not in text  # a heading, a name and a note


def test_the_librarys_style_is_word_for_word_that_of_the_page():
    """Else the page's security policy keeps it from the charts."""
    library, style = ((FOLDER / "vendor" / name).read_text() for name in ("plot.js", "plot.css"))
    parts = [re.escape(part) for part in style.split(".plot")]
    assert re.search(r"\.\$\{\w+\}".join(parts), library)


def test_the_library_is_allowed_and_comes_with_its_licences():
    library, licences = ((FOLDER / "vendor" / name).read_text() for name in ("plot.js", "plot.licences.txt"))
    assert "</script" not in library and not re.search(r"\beval\(|new Function", library)
    packages = re.findall(r"^(\S+) [\d.]+ \((\w+)\)$", licences, re.MULTILINE)
    assert ("@observablehq/plot", "ISC") in packages and {licence for _, licence in packages} == {"ISC", "MIT"}
    assert licences.count("Permission") >= len(packages) > 10
