"""How much of the features is read and held: of arrays on disk that are larger than memory, only what is drawn."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from protocol_inputs import CLASSES_OF_PIXELS, class_maps

from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.protocols.segmentation.memory import memory_of
from mlcd_eval.protocols.segmentation.seg_linear import SegLinearSettings, _tokens
from mlcd_eval.protocols.shared.patch_images import PatchImages


@dataclasses.dataclass
class OnDisk:
    """As much of an array (N, h, w, D) as is asked for, and how many numbers that were."""

    shape: tuple
    read: int = 0

    def __getitem__(self, index):
        rows = np.broadcast_to(np.float16(0), self.shape)[index]
        self.read += rows.size
        return np.ones_like(rows)


def stored(count, grid, width):
    """Images of the same few class maps."""
    _, maps = class_maps(8, 0, size=(32, 32))
    drawn = [each.pixels() for each in maps]
    every = [
        ClassMap(str(row), (32, 32), "", str(row), lambda row=row: drawn[row % 8], lambda: None) for row in range(count)
    ]
    return PatchImages(OnDisk((count, *grid, width)), every)


@pytest.mark.parametrize("with_val", [False, True])
def test_only_drawn_patches_are_read(with_val):
    images = {"train": stored(60, (8, 8), 16), **({"val": stored(40, (8, 8), 16)} if with_val else {})}
    fitted, held_out = _tokens(SegLinearSettings(patches=800), images, CLASSES_OF_PIXELS, 0)
    assert len(fitted.labels) + len(held_out.tokens.labels) <= 800 and len(fitted.labels) > 300
    assert sum(each.array.read for each in images.values()) == 16 * (len(fitted.labels) + held_out.array[..., 0].size)
    images["train"].array.read = 0
    memory, known = memory_of(images["train"], CLASSES_OF_PIXELS, 500, np.random.default_rng(0), "cpu")
    assert len(memory) == 500 < known and images["train"].array.read == 500 * 16


@pytest.mark.slow
def test_20000_images_of_37_x_37_patches_fit():
    """42 GB in fp32 at 384 numbers, of which the classifier takes 500,000 patches and retrieval 200,000."""
    images = stored(20_000, (37, 37), 384)
    tracemalloc.start()
    fitted, held_out = _tokens(SegLinearSettings(), {"train": images}, 150, 0)
    peak = tracemalloc.get_traced_memory()[1]
    assert len(fitted.labels) + len(held_out.tokens.labels) <= 500_000 and peak < 1.5e9
    del fitted, held_out
    tracemalloc.reset_peak()
    memory, _ = memory_of(images, 150, 200_000, np.random.default_rng(0), "cpu")
    assert len(memory) == 200_000 and tracemalloc.get_traced_memory()[1] < 1.5e9
    tracemalloc.stop()
