"""Pooled patches against averages over finely sampled points."""

import numpy as np
import pytest
from protocol_inputs import regions
from pycocotools import mask as coco

from mlcd_eval.errors import DataError, IncompatibleError
from mlcd_eval.metrics.segmentation import encode
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.regions.pooling import check_masks, drawn, pooled, regions_of, weights_of

FINE = 40  # points on a side of a pixel would be too many: of a patch


def averaged(tokens, region, inside):
    """The mean over points of the square of what the patch there holds, of those points that are inside."""
    side = max(region.size)
    places = (np.arange(4 * FINE) + 0.5) * side / (4 * FINE)
    y, x = np.meshgrid(places, places, indexing="ij")
    chosen = inside(x, y)
    return tokens[(y * 4 / side).astype(int)[chosen], (x * 4 / side).astype(int)[chosen]].mean(axis=0, dtype=np.float64)


@pytest.mark.parametrize("pool", ["mask", "box"])
def test_means_are_weighted_by_what_is_covered(pool):
    images, parts = regions(5, seed=4)
    found = pooled(images, parts, pool)
    for row, region in enumerate(parts):
        mask = coco.decode(region.truth)

        def inside(x, y, mask=mask, box=region.box):
            left, top, right, bottom = box
            if pool == "box":
                return (x > left) & (x < right) & (y > top) & (y < bottom)
            shown = y < 24
            return shown & (mask[y.clip(max=23).astype(int), x.astype(int)] > 0)

        expected = averaged(images.array[images.keys.index(region.image)], region, inside)
        assert found[row] == pytest.approx(expected, abs=1e-5)


def test_parts_of_a_box_stand_one_after_another():
    images, (region, *_) = regions(1, seed=4)
    whole, parts = weights_of(region, Layout((4, 4)), "box"), weights_of(region, Layout((4, 4)), "box", 3)
    assert parts.shape == (3, 4, 4) and parts.sum(axis=(1, 2)) == pytest.approx(1)
    assert parts.mean(axis=0) == pytest.approx(whole[0])
    found = pooled(images, [region], "box", 3)[0].reshape(3, 6)
    assert found == pytest.approx(np.einsum("phw,hwd->pd", parts, images.array[0]), abs=1e-6)


def test_a_region_without_a_pixel_is_that_of_its_middle():
    _, (region, *_) = regions(1, seed=4)
    empty = type(region)(
        "a", "r", 0, (24, 32), (31.0, 23.0, 31.0, 24.0), 0.0, encode(np.zeros((24, 32))), "r", "a", None
    )
    assert coco.area(empty.truth) == 0
    for pool in ("mask", "box"):
        weights = weights_of(empty, Layout((4, 4)), pool)[0]
        assert weights[2, 3] == weights.sum() == 1


def test_what_cannot_be_pooled_is_one_sentence():
    images, parts = regions(3, seed=4, masks=False)
    with pytest.raises(IncompatibleError, match=r"got 6 of 6 in split 'val' with a box alone, first '4_0/0'"):
        check_masks(parts, "mask", "val")
    check_masks(parts, "box", "val")
    assert regions_of(images, parts, "test").num_unread == 0
    nothing = type(images)(images.array[:0], [])
    with pytest.raises(
        DataError, match=r"the test split has no region in an image that can be read: got 6 regions in 0"
    ):
        regions_of(nothing, parts, "test")


def test_draws_keep_the_order():
    few = drawn(list(range(50)), 7, np.random.default_rng(0))
    assert few == sorted(few) and len(set(few)) == 7 and drawn([1, 2], 7, np.random.default_rng(0)) == [1, 2]
