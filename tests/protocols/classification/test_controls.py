"""Controls of protocols that learn labels: they score on features that hold the label, and not on shuffled ones."""

from dataclasses import replace

import numpy as np
import pytest
from protocol_inputs import features, rng

from mlcd_eval.protocols.base import Control, Inputs
from mlcd_eval.protocols.classification.controls import CLASSES, TRAIN
from mlcd_eval.protocols.registry import get_protocol


def labelled(train, test, **more):
    """Inputs whose features are useless, so that nothing comes from them."""
    return Inputs(
        images={"train": features(np.zeros((len(train), 2)), train), "test": features(np.zeros((len(test), 2)), test)},
        **more,
    )


def controls(name, inputs, **settings):
    protocol = get_protocol(name)
    return protocol.controls(protocol.Settings(**settings), inputs)


@pytest.mark.parametrize(
    ("name", "settings", "metric"),
    [
        ("linear_probe", {}, "acc1"),
        ("linear_probe", {"shots": 4}, "acc1"),
        ("linear_probe", {"layers": "all"}, "acc1"),
        ("knn", {}, "knn_acc1@5"),
        ("attentive_probe", {}, "acc1"),
    ],
)
def test_labels_are_found_and_noise_is_not(name, settings, metric, monkeypatch):
    from mlcd_eval.protocols.classification import attentive_head

    monkeypatch.setattr(attentive_head, "AIM", replace(attentive_head.AIM, least_steps=60))
    labels = np.arange(160) % 4
    held, shuffled = controls(name, labelled(labels, labels[:100], class_names=["a", "b", "c", "d"]), **settings)
    assert (held.positive, held.metric, held.num_scored, held.bound) == (True, metric, 100, 0.9)
    assert held.holds and held.value > 0.9
    assert not shuffled.positive and shuffled.holds and shuffled.value < shuffled.bound < 0.4
    assert shuffled.bound == pytest.approx(0.25 + 3 * (0.25 * 0.75 / 100) ** 0.5)  # chance and three standard errors


def test_several_labels_per_image():
    labels = (rng(0).random((200, 5)) < 0.3) * 1
    held, shuffled = controls("linear_probe", labelled(labels[:120], labels[120:]))
    assert held.metric == "map_11point" and held.holds and shuffled.holds and shuffled.value < 0.6


def test_few_classes_and_images_are_enough_for_large_data():
    labels = rng(1).integers(1000, size=5000)
    held, _ = controls("knn", labelled(labels, labels))
    assert held.num_scored <= 200 and held.holds
    assert CLASSES * 10 < TRAIN  # some of each class


def test_a_single_class_or_no_test_image_of_them_has_no_controls():
    assert controls("knn", labelled(np.zeros(9, int), np.zeros(5, int))) == []
    assert controls("knn", labelled(np.arange(8) % 2, np.array([7, 7]))) == []


def test_a_control_holds_on_its_side_of_the_bound():
    assert Control("x", True, "acc1", 0.9, 5, 0.9).holds and not Control("x", True, "acc1", 0.89, 5, 0.9).holds
    assert Control("x", False, "acc1", 0.3, 5, 0.3).holds and not Control("x", False, "acc1", 0.31, 5, 0.3).holds
