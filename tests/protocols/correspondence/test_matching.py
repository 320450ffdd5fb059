"""Matching against torch's own interpolation and against loops over patches."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from mlcd_eval.data.annotations import PointPair
from mlcd_eval.protocols.base import Features
from mlcd_eval.protocols.correspondence import matching
from mlcd_eval.protocols.correspondence.matching import Target, matched, queries
from mlcd_eval.protocols.layout import Layout

FIVE = Layout((5, 5))


def drawn(seed, grid=(5, 5), width=7):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(*grid, width)).astype(np.float32))


def upsampled(patches, side):
    """(side, side, D), as DIFT upsamples features to the image."""
    return interpolate(patches.permute(2, 0, 1)[None].double(), (side, side), mode="bilinear")[0].permute(1, 2, 0)


def test_points_are_found_where_upsampled_features_are_nearest(monkeypatch):
    monkeypatch.setattr(matching, "BATCH", 1500)  # a few points at a time
    one, other, size = drawn(0), drawn(1), (21, 33)
    points = np.array([[0, 0], [32, 20], [7, 3], [16, 10], [30, 1]])
    vectors = upsampled(one, 33)[points[:, 1], points[:, 0]]
    assert queries(one, points, size, FIVE).double() == pytest.approx(vectors, abs=1e-5)
    there = upsampled(other, 33)[: size[0]]  # of padding nothing is looked at
    cosines = torch.einsum("kd,hwd->khw", vectors, there) / there.norm(dim=2)
    expected = [np.unravel_index(int(each.argmax()), size)[::-1] for each in cosines]
    found = Target(other, size, "pixels", FIVE).find(queries(one, points, size, FIVE))
    assert found.tolist() == [list(map(float, each)) for each in expected]


def test_points_are_found_in_middles_of_patches():
    one, other, size = drawn(2), drawn(3), (21, 33)
    points = np.array([[3.5, 4.25], [11, 20], [32, 0]])
    vectors = queries(one, points, size, FIVE)
    found = Target(other, size, "patches", FIVE).find(vectors)
    for vector, place in zip(vectors.double().numpy(), found, strict=True):
        best = max(
            ((row, column) for row in range(3) for column in range(5)),  # the middle of row 3 is at 23.1 of 21 pixels
            key=lambda cell: vector @ other[cell].double().numpy() / np.linalg.norm(other[cell].double().numpy()),
        )
        assert place == pytest.approx([(best[1] + 0.5) * 33 / 5 - 0.5, (best[0] + 0.5) * 33 / 5 - 0.5])


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_features_of_any_length(scale):
    one, other, size = drawn(4), drawn(5), (20, 20)
    points = np.array([[3, 4], [11, 19]])
    plain = Target(other, size, "pixels", FIVE).find(queries(one, points, size, FIVE))
    scaled = Target(scale * other, size, "pixels", FIVE).find(queries(scale * one, points, size, FIVE))
    assert scaled.tolist() == plain.tolist()


def test_zeros_are_found_at_the_first_place():
    nothing = torch.zeros(3, 3, 4)
    assert Target(nothing, (9, 9), "pixels", Layout((3, 3))).find(torch.zeros(1, 4)).tolist() == [[0.0, 0.0]]


def test_pairs_keep_their_order():
    features = Features(np.stack([drawn(seed).numpy() for seed in range(4)]), list("abcd"))
    names = [("a", "d"), ("c", "b"), ("b", "d"), ("d", "b")]
    pairs = [
        PointPair(f"{n}", each, ((20, 20), (20, 20)), ((3.0, 4.0 + n),), ((0.0, 0.0),), (0, 0, 9, 9), "", "", None, ())
        for n, each in enumerate(names)
    ]
    done = []
    found = matched(features, pairs, "pixels", "cpu", done.append)
    assert done == [1] * 4
    for pair, places in zip(pairs, found, strict=True):
        one, other = (torch.from_numpy(features.array["abcd".index(key)]) for key in pair.images)
        alone = Target(other, (20, 20), "pixels", FIVE).find(queries(one, np.array(pair.source), (20, 20), FIVE))
        assert places.tolist() == alone.tolist()
