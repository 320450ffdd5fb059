"""Controls of masks from features: true masks in patches are found, shuffled ones are not."""

import pytest
import torch

from mlcd_eval.data import open_dataset
from mlcd_eval.protocols.base import Inputs
from mlcd_eval.protocols.refcoco import controls
from mlcd_eval.protocols.refcoco.protocol import Refcoco, RefcocoSettings
from mlcd_eval.support.bundled import demo_data_dir


@pytest.fixture(scope="module")
def inputs():
    dataset = open_dataset(f"refer:{demo_data_dir()}/refer/refdemo/unc/testA")
    return Inputs({}, annotations={"train": dataset.annotations("train"), "test": dataset.annotations("testA")})


def test_a_models_own_masks_have_no_controls(inputs):
    assert Refcoco().controls(RefcocoSettings(mode="native"), inputs) == []


def test_similarity_finds_true_masks_and_no_others(inputs, monkeypatch):
    monkeypatch.setattr(controls, "SHAPES", {"zeroshot": (16, 1)})
    held, shuffled = Refcoco().controls(RefcocoSettings(mode="zeroshot"), inputs)
    assert held.positive and held.holds and held.num_scored == controls.TEST and held.value > 0.6
    assert not shuffled.positive and shuffled.holds and shuffled.value < 0.1 < shuffled.bound < 0.3


@pytest.mark.slow
def test_the_probe_learns_true_masks_and_no_others(inputs):
    with torch.random.fork_rng():
        held, shuffled = Refcoco().controls(RefcocoSettings(mode="probe"), inputs)
    assert held.holds and shuffled.holds
