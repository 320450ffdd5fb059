"""The colours of charts, as readers see them who lack one kind of cone."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import mlcd_eval.tables.report

FOLDER = Path(mlcd_eval.tables.report.__file__).parent
# Machado, Oliveira & Fernandes 2009, severity 1, of linear RGB
SIGHT = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    "all three": np.eye(3),
}
# Ottosson 2020
TO_LMS = [
    [0.41222147, 0.53633254, 0.05144599],
    [0.21190350, 0.68069955, 0.10739696],
    [0.08830246, 0.28171884, 0.62997870],
]
TO_OKLAB = [
    [0.21045426, 0.79361779, -0.00407205],
    [1.97799850, -2.42859220, 0.45059371],
    [0.02590404, 0.78277177, -0.80867577],
]


def linear(colour):
    channels = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(*colours):
    """WCAG 2.2."""
    low, high = sorted(linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05 for colour in colours)
    return high / low


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_are_told_apart_from_each_other_and_from_the_page(theme):
    style = (FOLDER / "chart.html.jinja").read_text()
    colours = [pair[theme] for pair in re.findall(r"--s\d: light-dark\((#\w{6}), (#\w{6})\)", style)]
    assert len(colours) == len(set(colours)) == 8
    assert min(contrast(colour, ("#ffffff", "#14171a")[theme]) for colour in colours) >= 3
    for sight in SIGHT.values():
        seen = [np.array(TO_OKLAB) @ np.cbrt(TO_LMS @ np.clip(sight @ linear(colour), 0, 1)) for colour in colours]
        assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.14  # 0.02 is just noticed
