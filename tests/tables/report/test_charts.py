"""Charts, by geometry worked by hand."""

import re

import pytest

from mlcd_eval.tables.report.charts import Bar, curves, delta_bars, radar, ticks


def labels(svg):
    """Of each axis of a radar: anchor, place, turn, name, and its lines with their heights."""
    pattern = (
        r'text-anchor="(\w+)"\s+transform="translate\(([\d.]+) ([\d.]+)\) rotate\((-?[\d.]+)\)">\s*<title>(.*?)</title>'
    )
    parts = re.split(pattern, svg)[1:]
    for begin in range(0, len(parts), 6):
        anchor, x, y, turn, name, rest = parts[begin : begin + 6]
        lines = re.findall(r'<tspan x="0" y="(-?\d+)">(.*?)</tspan>', rest)
        yield anchor, (float(x), float(y)), float(turn), name, [(int(height), text) for height, text in lines]


def test_a_radars_labels_are_beside_its_rim_and_its_rings_are_quarters():
    """Radius 76 around (174, 140), labels 8 outside; three lines of 14 above, beside or below their points."""
    svg = radar("all", ["k/x", "probe/sixteen_letters_", "k/z", "k/fifteen_letters"], [("a", [0.5, 0.2, 0.1, 0.4])]).svg
    assert 'width="348" height="280"' in svg and 'aria-label="all: a 50.00, 20.00, 10.00, 40.00"' in svg
    assert list(labels(svg)) == [
        ("middle", (174.0, 56.0), 0.0, "k/x", [(-32, "k"), (-18, "x"), (-4, "50.00")]),
        (
            "start",
            (258.0, 140.0),
            0.0,
            "probe/sixteen_letters_",
            [(-11, "probe"), (3, "sixteen_letter…"), (17, "20.00")],
        ),
        ("middle", (174.0, 224.0), 0.0, "k/z", [(10, "k"), (24, "z"), (38, "10.00")]),
        ("end", (90.0, 140.0), 0.0, "k/fifteen_letters", [(-11, "k"), (3, "fifteen_letters"), (17, "40.00")]),
    ]
    assert re.findall(r'points="([^"]*)" class="grid"', svg) == [
        f"174.0,{140 - far} {174 + far},140.0 174.0,{140 + far} {174 - far},140.0" for far in (19.0, 38.0, 57.0, 76.0)
    ]
    rims = re.findall(r'x1="174" y1="140" x2="([\d.]+)" y2="([\d.]+)"', svg)
    assert rims == [("174.0", "64.0"), ("250.0", "140.0"), ("174.0", "216.0"), ("98.0", "140.0")]


def test_twelve_labels_are_level_and_more_run_along_their_spokes():
    names = [f"knn/a_name_of_27_letters_{n:02d}" for n in range(20)]
    twelve, sixteen = (radar("x", names[:n], [("a", [0.5] * n)]).svg for n in (12, 16))
    assert {turn for _, _, turn, _, _ in labels(twelve)} == {0.0} and 'width="348"' in twelve
    assert 'width="640" height="640"' in sixteen
    found = list(labels(sixteen))
    assert found[0] == ("start", (320.0, 192.0), -90.0, names[0], [(4, "knn/a_name_of_27_letters_… 50.00")])
    assert [found[place][:3] for place in (2, 4, 8, 10, 12)] == [
        ("start", (410.5, 229.5), -45.0),
        ("start", (448.0, 320.0), 0.0),
        ("start", (320.0, 448.0), 90.0),
        ("end", (229.5, 410.5), -45.0),
        ("end", (192.0, 320.0), 0.0),
    ]
    assert "200.0,320.0" in re.findall(r'points="([^"]*)" class="grid"', sixteen)[3]


def test_forty_lines_differ():
    svg = radar("x", ["a", "b", "c"], [(str(n), [0.5, 0.5, 0.5]) for n in range(40)])
    styles = re.findall(r'class="line (s\d)" stroke-dasharray="([^"]*)"', svg.svg)
    assert len(set(styles)) == 40 and styles[9] == ("s1", "12 4")
    assert all(f'class="line {colour}" stroke-dasharray="{dash}"' in swatch
               for (colour, dash), (swatch, _) in zip(styles, svg.legend, strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 4, [0, 1, 2, 3, 4]),
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 11, [0, 5, 10]),
        (0.1, 0.34, [0.1, 0.15, 0.2, 0.25, 0.3]),
        (0.1, 0.35, [0.1, 0.15, 0.2, 0.25, 0.3, 0.35]),
        (0.15, 0.35, [0.15, 0.2, 0.25, 0.3, 0.35]),
        (-10, 10, [-10, -5, 0, 5, 10]),
        (0.9, 8.1, [2, 4, 6, 8]),
        (0, 49, [0, 10, 20, 30, 40]),
        (3, 3, [3]),
        (5, 4, [5]),
    ],
)
def test_ticks_are_round_numbers_within_the_ends(low, high, expected):
    assert ticks(low, high) == expected


def test_the_axes_of_curves():
    """A field from (44, 10) to (302, 166); the grid runs to 312, numbers stand 6 left of it and 4 below their lines."""
    figure = curves("run", [0, 10], [("loss", [0.0, 1.0]), ("other", [0.5, None])])
    assert 'width="320" height="200"' in figure.svg
    assert 'aria-label="run: loss from 0 to 1; other from 0.5 to 0.5"' in figure.svg
    lines = re.findall(r'<line x1="(\d+)" x2="(\d+)" y1="([\d.]+)" y2="([\d.]+)" class="grid"/>', figure.svg)
    heights = ["166.0", "134.8", "103.6", "72.4", "41.2", "10.0"]
    assert lines == [("44", "312", height, height) for height in heights]
    numbers = re.findall(r'<text x="(\d+)" y="([\d.]+)" text-anchor="end">([^<]*)<', figure.svg)
    assert numbers == [("38", f"{float(height) + 4}", f"{n / 5:g}") for n, height in enumerate(heights)]
    steps = re.findall(r'<text x="([\d.]+)" y="(\d+)" text-anchor="middle">([^<]*)<', figure.svg)
    assert steps == [*((f"{44 + 51.6 * n:.1f}", "182", str(2 * n)) for n in range(6)), ("178.0", "197", "step")]
    assert [name for _, name in figure.legend] == ["loss", "other"]
    alone = curves("run", [3, 3], [("none", [None, None]), ("flat", [2.0, 2.0])])
    assert "none no values; flat from 2 to 2" in alone.svg and 'd="M173.0,88.0h0L173.0,88.0"' in alone.svg
    assert curves("run", [1, 2], [("loss", [1.0, 2.0])]).legend == []


def test_bars_without_a_difference_are_in_the_middle():
    ((_, text, svg, _),) = delta_bars("x", [Bar("a", 0.0, True, 1)], (0.0, 0.0)).rows
    assert text == "0.00" and 'x1="160.0" x2="160.0"' in svg and 'width="320" height="12"' in svg
    assert 'x="0.0" y="2" width="0.0"' in svg
    ((_, _, svg, _),) = delta_bars("x", [Bar("a", 0.02, True, 1)], (-0.02, 0.06)).rows
    assert 'x1="80.0"' in svg and 'x="80.0" y="2" width="80.0"' in svg
