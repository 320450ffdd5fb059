"""What a pass costs: measured once, kept beside the features, and stated by whoever uses them later."""

import json
import mmap

import numpy as np
import pytest
import torch
from levels import MeanEncoder, make_split, options

from mlcd_eval.features.encode import encode_split
from mlcd_eval.features.pace import Pace
from mlcd_eval.support import peak_memory
from mlcd_eval.support.peak_memory import PeakMemory


class Counted(MeanEncoder):
    """A matrix product of each image's mean, of two parameters."""

    costed = True

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1, 2))

    def encode_images(self, pixels, layers):
        outputs = super().encode_images(pixels, layers)
        products = pixels.mean((1, 2, 3))[:, None] @ self.weight
        return outputs | {"penultimate": products} if "penultimate" in layers else outputs


def test_the_figures_of_a_pass_stay_with_its_features(tmp_path):
    encoder, split = Counted(), make_split((120, 120))
    first = encode_split(encoder, split, ["penultimate"], options(tmp_path, batch_size=8)).efficiency["penultimate"]
    assert (first.num_params, first.gflops) == (2, 2 * 2 / 1e9)  # a product and an addition for each of two numbers
    assert (
        first.images_per_s > 0 and first.images_timed == 240 - 3 * 8 and first.unknown.keys() <= {"peak_memory_bytes"}
    )
    assert first.measured.layers == ("penultimate", "projected") and first.measured.batch_size == 8
    assert encoder.seen == 240 + 1
    again = encode_split(Counted(), split, ["penultimate", "projected"], options(tmp_path)).efficiency
    assert again == {"penultimate": first, "projected": first}


def test_the_cost_is_counted_once_per_model(tmp_path):
    encoder = Counted()
    for sizes in ((8,), (9,)):
        encode_split(encoder, make_split(sizes), ["penultimate"], options(tmp_path))
    assert encoder.seen == 8 + 9 + 1


def test_what_is_not_known_is_none_with_its_reason(tmp_path):
    cost = encode_split(MeanEncoder(), make_split(), ["penultimate"], options(tmp_path)).efficiency["penultimate"]
    assert (cost.images_per_s, cost.num_params, cost.gflops, cost.images_timed) == (None, None, None, 0)
    assert cost.unknown["gflops"] == cost.unknown["num_params"]
    assert "too few batches" in cost.unknown["images_per_s"]


@pytest.mark.parametrize("damage", [None, "{}x", '{"images_per_s": "fast"}'])
def test_features_without_figures_are_used_all_the_same(tmp_path, damage):
    split = make_split()
    encode_split(MeanEncoder(), split, ["penultimate"], options(tmp_path))
    for path in list(tmp_path.rglob("efficiency.json")):
        path.unlink() if damage is None else path.write_text(damage)
    encoded = encode_split(MeanEncoder(), split, ["penultimate"], options(tmp_path))
    assert encoded.images_encoded == 0 and encoded.efficiency == {}


def paced(seconds, at_once=1, images=10):
    times = iter(seconds)
    pace = Pace(at_once, lambda: next(times))
    for _ in seconds:
        pace.done(images)
    return pace


def test_the_first_batches_are_not_timed():
    """Three that are slow, then one in two seconds."""
    pace = paced([50.0, 90.0, 100.0, 102.0, 104.0, 106.0, 108.0])
    assert (pace.images_per_s, pace.images) == (5.0, 40)


@pytest.mark.parametrize(("batches", "at_once"), [(6, 1), (11, 2), (0, 1)])
def test_a_short_pass_has_no_pace(batches, at_once):
    assert paced([float(number) for number in range(batches)], at_once).images_per_s is None
    assert paced([float(number) for number in range(12)], at_once).images_per_s == 10.0


def test_memory_is_that_of_the_work_alone():
    first = PeakMemory(torch.device("cpu"))
    block = mmap.mmap(-1, 1 << 26)  # not of the allocator, which may have as much left over and keeps what it gets back
    np.frombuffer(block, np.uint8)[:] = 1
    high = first.in_bytes()
    if high is None:
        pytest.skip("this system keeps no peak that can be set back")
    block.close()
    assert high - PeakMemory(torch.device("cpu")).in_bytes() > 0.8 * (1 << 26)


def test_memory_is_unknown_where_the_system_does_not_tell(tmp_path, monkeypatch):
    monkeypatch.setattr(peak_memory, "_PROCESS", tmp_path / "none")
    assert PeakMemory(torch.device("cpu")).in_bytes() is None


def test_the_file_is_plain_json(tmp_path):
    encode_split(MeanEncoder(), make_split(), ["penultimate"], options(tmp_path))
    for path in tmp_path.rglob("efficiency.json"):
        assert json.loads(path.read_text())["measured"]["device"] == "cpu"


class Unwatched(Counted):
    """A model that runs, but not while something watches it."""

    def encode_images(self, pixels, layers):
        if torch.utils._python_dispatch._get_current_dispatch_mode_stack():
            raise RuntimeError("not while watched")
        return super().encode_images(pixels, layers)


def test_a_model_that_cannot_be_watched_is_encoded_all_the_same(tmp_path):
    encoded = encode_split(Unwatched(), make_split(), ["penultimate"], options(tmp_path))
    cost = encoded.efficiency["penultimate"]
    assert encoded.images_encoded == 8 and (cost.gflops, cost.num_params) == (None, None)
    assert cost.unknown["gflops"] == "PyTorch cannot count what encodes the images"
