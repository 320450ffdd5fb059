"""From patches to pixels and back, against torch's interpolation and a count written out."""

import numpy as np
import pytest
import torch

from mlcd_eval.data.annotations import ClassMap
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.segmentation import maps
from mlcd_eval.protocols.segmentation.maps import classes_at
from mlcd_eval.protocols.segmentation.tokens import patch_classes, tokens_of
from mlcd_eval.protocols.shared.pixels import cells_of


@pytest.mark.parametrize(
    ("size", "grid"), [((50, 50), (7, 7)), ((30, 45), (4, 5)), ((45, 30), (14, 14)), ((9, 12), (16, 16))]
)
def test_scores_are_interpolated_as_torch_does(size, grid, monkeypatch):
    monkeypatch.setattr(maps, "BAND", 500)  # a few rows at a time
    scores = torch.randn(*grid, 3, generator=torch.Generator().manual_seed(0))
    side = max(size)
    square = torch.nn.functional.interpolate(
        scores.permute(2, 0, 1)[None], size=(side, side), mode="bilinear", align_corners=False
    )[0, :, : size[0], : size[1]]
    top = square.topk(2, dim=0).values
    clear = (top[0] - top[1] > 1e-5).numpy()  # elsewhere rounding decides
    assert (
        clear.mean() > 0.95 and (classes_at(scores, size, (1, 1))[clear] == square.argmax(dim=0).numpy()[clear]).all()
    )


def test_a_class_that_train_lacks_is_never_predicted():
    scores = torch.randn(4, 4, 3)
    scores[..., 1] = -torch.inf
    assert set(classes_at(scores, (20, 15), (1, 1)).ravel().tolist()) <= {0, 2}


def test_a_patch_has_the_most_frequent_class_of_its_pixels():
    rng = np.random.default_rng(0)
    classes = rng.integers(-1, 4, (30, 44)).astype(np.int16)
    found = patch_classes(classes, Layout((5, 6)), 4)
    rows, columns = cells_of((30, 44), Layout((5, 6)))
    for row in range(5):
        for column in range(6):
            inside = classes[np.ix_(rows == row, columns == column)]
            counts = [int((inside == label).sum()) for label in range(4)]
            known = sum(counts) >= 0.5 * 44 * 44 / 30
            assert found[row, column] == (counts.index(max(counts)) if known else -1)
    assert (found[3:].max(), found[:3].min()) == (-1, 0)  # rows 26.4 to 35.2 and below are mostly padding


def test_padding_and_unlabelled_pixels_are_not_learned():
    classes = np.zeros((8, 16), np.int16)
    classes[:, 8:12] = -1
    assert patch_classes(classes, Layout((2, 4)), 2).tolist() == [[0, 0, -1, 0], [-1, -1, -1, -1]]


def test_tokens_are_drawn_from_those_that_are_known():
    rng = np.random.default_rng(1)
    array, labels = rng.normal(size=(5, 3, 4, 2)).astype(np.float16), rng.integers(-1, 3, (5, 3, 4)).astype(np.int16)
    every = tokens_of(array, labels, 1000, np.random.default_rng(0))
    assert every.num_known == len(every.labels) == (labels >= 0).sum() and every.num_images == 5
    assert (every.features == array[labels >= 0].astype(np.float32)).all() and every.features.dtype == np.float32
    assert every.labels.tolist() == labels[labels >= 0].tolist()
    some = tokens_of(array, labels, 9, np.random.default_rng(0))
    rows = [int(np.flatnonzero((every.features == row).all(axis=1))[0]) for row in some.features]
    assert rows == sorted(set(rows)) and len(rows) == 9 and some.num_known == every.num_known
    assert some.labels.tolist() == every.labels[rows].tolist()


def test_a_class_map_has_no_say_in_how_it_is_read():
    one, two = (ClassMap("a", (1, 1), "digest", "a", lambda n=n: n, lambda n=n: n) for n in range(2))
    assert one == two
