"""Correspondences of two views against rays that are traced one by one, in a scene of a floor and a card above it."""

import io

import numpy as np
import pytest
from PIL import Image

from mlcd_eval.data.sources.point_layouts.scenes import points_seen_twice
from mlcd_eval.data.storage.scene_geometry import NEAR, View, bilinear, degrees_between, inverse_depth, thing_numbers
from mlcd_eval.errors import DataError

SLOPE = float(np.tan(np.deg2rad(17.5)))
FLOOR, CARD = 1, 2
SIDE = 48


def looking(origin, target):
    """The matrix of a camera with axes x left, y up and z ahead."""
    ahead = np.subtract(target, origin) / np.linalg.norm(np.subtract(target, origin))
    left = np.cross([0, 0, 1], ahead)
    left /= np.linalg.norm(left)
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = np.stack([left, np.cross(ahead, left), ahead], axis=1), origin
    return matrix


def hit(matrix, x, y):
    """The thing that the ray through a place (shares of the sides) meets first, where, and its depth."""
    ray = matrix[:3, :3] @ [SLOPE * (1 - 2 * x), SLOPE * (1 - 2 * y), 1]
    origin = matrix[:3, 3]
    card = (0.6 - origin[2]) / ray[2]
    at = origin + card * ray
    if card > 0 and np.abs(at[:2]).max() < 0.5:
        return CARD, at, card
    floor = -origin[2] / ray[2]
    return FLOOR, origin + floor * ray, floor


def view(matrix, side=SIDE):
    numbers, inverse = np.zeros((2 * side, 2 * side), np.int64), np.zeros((side, side))
    for row, column in np.ndindex(*numbers.shape):
        numbers[row, column] = hit(matrix, (column + 0.5) / (2 * side), (row + 0.5) / (2 * side))[0]
    for row, column in np.ndindex(*inverse.shape):
        inverse[row, column] = 1 / hit(matrix, (column + 0.5) / side, (row + 0.5) / side)[2]
    return View(inverse, numbers, matrix, (SLOPE, SLOPE))


def test_points_that_two_views_show_are_one_point_of_the_scene():
    matrices = looking((3.5, 0, 2.5), (0, 0, 0.3)), looking((2.5, 2.4, 2.2), (0.1, 0, 0.3))
    one, other = map(view, matrices)
    seen, things = points_seen_twice(one, other)
    for (x, y, u, v), thing in zip(seen.tolist(), things.tolist(), strict=True):
        first, second = hit(matrices[0], x, y), hit(matrices[1], u, v)
        assert first[0] == second[0] == thing
        assert np.linalg.norm(first[1] - second[1]) < NEAR * second[2]
    every = [hit(matrices[0], (column + 0.5) / SIDE, (row + 0.5) / SIDE) for row, column in np.ndindex(SIDE, SIDE)]
    hidden = total = 0
    for _, point, _ in every:
        across, up, depth = matrices[1][:3, :3].T @ (point - matrices[1][:3, 3])
        u, v = (1 - across / depth / SLOPE) / 2, (1 - up / depth / SLOPE) / 2
        if 0 < u < 1 and 0 < v < 1:
            total += 1
            hidden += np.linalg.norm(hit(matrices[1], u, v)[1] - point) > 1e-6
    assert hidden > 50  # of the floor, by the card
    assert 0.95 * (total - hidden) < len(seen) <= total - hidden  # few at outlines are left out
    assert {FLOOR, CARD} == set(things.tolist())
    assert (
        degrees_between(one, other) == pytest.approx(degrees_between(other, one)) and degrees_between(one, one) < 1e-4
    )


def test_the_angle_between_cameras_is_that_of_their_rotation():
    one = View(np.ones((1, 1)), np.ones((1, 1), int), looking((3, 0, 0), (0, 0, 0)), (SLOPE, SLOPE))
    turned = View(one.inverse, one.numbers, looking((0, 3, 0), (0, 0, 0)), (SLOPE, SLOPE))
    assert degrees_between(one, turned) == pytest.approx(90)


def test_values_between_pixels():
    values = np.array([[0.0, 2.0], [4.0, 10.0]])
    at = np.array([[0, 0], [1, 1], [0.5, 0], [0, 0.25], [0.5, 0.5], [-3, 9]])
    assert bilinear(values, at).tolist() == [0, 10, 1, 1, 4, 4]
    assert bilinear(np.array([[3.0]]), np.array([[0.2, 0.7]])).tolist() == [3.0]


def test_pictures_of_other_numbers_are_one_sentence():
    file = io.BytesIO()
    Image.new("RGB", (2, 2)).save(file, "PNG")
    with pytest.raises(DataError, match=r"0\.depth\.png has other numbers: got a picture of mode RGB, expected I;16"):
        inverse_depth(file.getvalue(), 65535.0, "0.depth.png")
    with pytest.raises(DataError, match=r"0\.instances\.png cannot be read"):
        thing_numbers(b"PNG", "0.instances.png")
