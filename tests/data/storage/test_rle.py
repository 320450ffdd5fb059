"""Masks in every form against a slow decoder, and those that are refused before C code sees them."""

import numpy as np
import pytest
from pycocotools import mask as coco

from mlcd_eval.data.storage.rle import as_rle
from mlcd_eval.errors import DataError

SQUARE = [[2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0]]


@pytest.mark.parametrize("seed", range(5))
def test_masks_in_every_form_are_the_same(seed):
    chance = np.random.default_rng(seed)
    mask = (chance.random((13, 17)) < (0.3, 0.0, 1.0, 0.05, 0.9)[seed]).astype(np.uint8)
    rle = coco.encode(np.asfortranarray(mask))
    flat = mask.flatten(order="F").tolist()
    runs, value = [], 0
    while flat:
        length = next((place for place, pixel in enumerate(flat) if pixel != value), len(flat))
        runs.append(length)
        flat, value = flat[length:], 1 - value
    for counts in (rle["counts"], rle["counts"].decode(), runs):
        assert np.array_equal(coco.decode(as_rle({"size": [13, 17], "counts": counts}, (13, 17), "x")), mask)


def test_parts_of_polygons_unite_without_counting_twice():
    overlapping = [SQUARE[0], [4.0, 1.0, 8.0, 1.0, 8.0, 5.0, 4.0, 5.0]]
    assert coco.area(as_rle(overlapping, (6, 8), "x")) == 4 * 6
    assert coco.area(as_rle([[1.0, 1.0, 2.0, 2.0]], (6, 8), "x")) == 0  # a line has no inside
    assert coco.area(as_rle([], (6, 8), "x")) == 0


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [8, 6], "counts": [48]}, r"size is \[8, 6\], expected the image's \[height, width\] = \[6, 8\]"),
        ({"size": [6, 8], "counts": [40]}, "runs that do not add up to 48 pixels"),
        ({"size": [6, 8], "counts": [-1, 49]}, "runs that do not add up"),
        ({"size": [6, 8], "counts": "P"}, "ends? within a number|do not add up"),
        ({"size": [6, 8], "counts": "\x01"}, "the character"),
        ({"size": [6, 8], "counts": "o" * 50}, "the character|within a number"),
        ({"size": [6, 8], "counts": {"a": 1}}, "expected text or integers"),
        ({"size": [6, 8]}, "'counts'"),
        ([["a", 1, 2, 3, 4, 5]], "neither polygons nor COCO RLE"),
        ([[1e9, 1, 2, 3, 4, 5]], "not x, y"),
        ([[1, 2, 3, 4, 5, 6, 7]], "not x, y"),
        ([[float("nan"), 1, 2, 3, 4, 5]], "not x, y"),
        ([[float("inf"), 1, 2, 3, 4, 5]], "not x, y"),
        ([[10**400, 1, 2, 3, 4, 5]], "neither polygons nor COCO RLE"),
        ([[-1e6, 0, 1e6, 0] * 3], "an outline of"),
        ([[0, 0, 5e5, 0, 5e5, 5e5]] * 5, "an outline of 7,500,000 pixels"),  # together
        ({"size": [6, 8], "counts": [2**32, 48]}, "runs that do not add up"),
        ({"size": [6, 8], "counts": [2**64 - 2**32, 2**32, 48]}, "runs that do not add up"),
        ([{"size": [6, 8], "counts": [48]}, {"size": [8, 6], "counts": [48]}], r"size is \[8, 6\]"),
        ([{"size": [6, 8], "counts": [48]}, 7], "neither polygons nor COCO RLE"),
        ("PQ", "it is a str"),
        (None, "it is a NoneType"),
        (7, "neither polygons nor COCO RLE"),
    ],
)
def test_masks_that_are_none(segmentation, message):
    with pytest.raises(DataError, match=message):
        as_rle(segmentation, (6, 8), "here")


def runs_of(mask):
    """COCO's uncompressed code of a mask, the slow way."""
    runs, inside = [0], 0
    for pixel in mask.flatten(order="F"):
        if pixel != inside:
            runs.append(0)
            inside = pixel
        runs[-1] += 1
    return runs


@pytest.mark.parametrize("seed", range(4))
def test_a_list_of_codes_is_their_union(seed):
    chance = np.random.default_rng(seed)
    masks = chance.random((3, 13, 17)) < (0.05, 0.3, 0.6, 0.0)[seed]
    codes = [{"size": [13, 17], "counts": runs_of(mask)} for mask in masks]
    compressed = [{"size": [13, 17], "counts": as_rle(code, (13, 17), "x")["counts"]} for code in codes]
    for parts in (codes, compressed, [codes[0], *compressed[1:]]):
        assert np.array_equal(coco.decode(as_rle(parts, (13, 17), "x")), masks.any(axis=0))
    assert as_rle([codes[1]], (13, 17), "x") == as_rle(codes[1], (13, 17), "x")


def test_codes_and_polygons_unite():
    whole_row = {"size": [6, 8], "counts": [0, 6, 42]}
    assert coco.area(as_rle([whole_row, SQUARE[0]], (6, 8), "x")) == 6 + 16


@pytest.mark.parametrize("seed", range(5))
def test_runs_of_length_zero_change_no_mask_and_reach_no_c_code(seed):
    chance = np.random.default_rng(seed)
    mask = chance.random((5, 4)) < 0.5
    padded = []
    for run in runs_of(mask):  # each run in two parts with nothing between them, and pairs of nothing around
        part = int(chance.integers(run + 1))
        padded += [part, 0, run - part] + [0, 0] * int(chance.integers(3))
    code = as_rle({"size": [5, 4], "counts": padded}, (5, 4), "x")
    assert code == as_rle({"size": [5, 4], "counts": runs_of(mask)}, (5, 4), "x")
    assert np.array_equal(coco.decode(code), mask)


def test_more_runs_than_pixels_are_joined():
    code = as_rle({"size": [2, 2], "counts": [0] * 10_001 + [4]}, (2, 2), "x")
    assert coco.decode(code).sum() == 4 and len(code["counts"]) <= 2
    assert coco.decode(as_rle({"size": [2, 2], "counts": [0] * 10_000 + [4]}, (2, 2), "x")).sum() == 0


@pytest.mark.parametrize("size", [(2**16, 2**16), (2**31, 2), (-1, 5)])
def test_an_image_of_more_pixels_than_c_code_counts_is_refused(size):
    with pytest.raises(DataError, match=r"^m: the image has \d+ x -?\d+ pixels, expected at most 268,435,456$"):
        as_rle({"size": list(size), "counts": [size[0] * size[1]]}, size, "m")
