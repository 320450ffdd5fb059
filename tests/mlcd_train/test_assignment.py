"""Labels of images: which centres, in which order."""

import math

import pytest
import torch

from mlcd_eval.errors import ConfigError
from mlcd_train import assignment
from mlcd_train.assignment import NONE, centres_fingerprint, nearest_centres


def unit(*angles):
    return torch.tensor([[math.cos(math.radians(angle)), math.sin(math.radians(angle))] for angle in angles])


def test_by_hand():
    centres = unit(0, 90, 45, 180)
    classes, similarities = nearest_centres(3 * unit(10, 80), centres, 2)
    assert classes.tolist() == [[0, 2], [1, 2]]
    expected = [math.cos(math.radians(angle)) for angle in (10, 35)]
    assert similarities[0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("rows", [3, 1 << 13])
def test_a_full_sort_agrees(monkeypatch, rows):
    monkeypatch.setattr(assignment, "ROWS", rows)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(20, 6, generator=generator)
    centres = torch.nn.functional.normalize(torch.randn(30, 6, generator=generator), dim=1)
    classes, similarities = nearest_centres(features.numpy(), centres, 8)
    cosine = torch.nn.functional.normalize(features, dim=1) @ centres.T
    assert torch.equal(classes, cosine.argsort(dim=1, descending=True, stable=True)[:, :8])
    torch.testing.assert_close(similarities, cosine.gather(1, classes))


def test_of_equal_centres_the_lower_class_comes_first():
    centres = torch.cat([unit(50), unit(0).repeat(6, 1), unit(-1)])
    for count in range(1, 9):
        classes, _ = nearest_centres(unit(0), centres, count)
        assert classes[0].tolist() == [1, 2, 3, 4, 5, 6, 7, 0][:count]


def test_a_threshold_leaves_out_what_is_less_similar_but_never_all():
    centres = unit(0, 20, 40, 60)
    classes, similarities = nearest_centres(unit(0, 200), centres, 3, threshold=0.8)
    assert classes.tolist() == [[0, 1, NONE], [3, NONE, NONE]]
    assert similarities[0, 2] == 0
    assert nearest_centres(unit(0), centres, 4, threshold=0.49)[0].tolist() == [[0, 1, 2, 3]]


@pytest.mark.parametrize("count", [0, 5])
def test_more_labels_than_centres_are_refused(count):
    with pytest.raises(ConfigError, match=rf"got l = {count} labels per image, expected 1 to 4"):
        nearest_centres(unit(0), unit(0, 20, 40, 60), count)


def test_the_centres_fingerprint_is_of_their_numbers():
    assert centres_fingerprint(unit(0, 1)) == centres_fingerprint(unit(0, 1))
    assert centres_fingerprint(unit(0, 1)) != centres_fingerprint(unit(1, 0))
