"""The settings of an image's size: all protocols of patches ask for it, and older records stay those of the request."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.frame import Frame
from mlcd_eval.protocols.geometry.images import at_pixels
from mlcd_eval.protocols.layout import Layout
from mlcd_eval.protocols.registry import PROTOCOLS, get_protocol
from mlcd_eval.protocols.segmentation.maps import classes_at
from mlcd_eval.protocols.segmentation.seg_knn import SegKNNSettings
from mlcd_eval.protocols.segmentation.tokens import patch_classes
from mlcd_eval.protocols.shared.framed import FramedSettings

FRAMED = [name for name in PROTOCOLS.built_in if issubclass(get_protocol(name).Settings, FramedSettings)]


def test_which_protocols_have_them():
    assert sorted(FRAMED) == [
        "correspondence", "depth_linear", "docvqa", "normals_linear", "refcoco", "region_classification",
        "region_retrieval", "seg_knn", "seg_linear", "seg_zeroshot", "tracking",
    ]  # fmt: skip


@pytest.mark.parametrize("name", FRAMED)
def test_every_split_is_shown_at_that_size(name):
    protocol = get_protocol(name)
    mode = {"mode": "probe"} if name in ("docvqa", "refcoco") else {}
    plain, framed = (
        protocol.requests(protocol.Settings(**mode, **chosen), ["train", "test"]) for chosen in ({}, {"resolution": 64})
    )
    assert {request.view.frame for request in plain.values()} == {None}
    assert {request.view.frame for request in framed.values()} == {Frame((64, 64))}
    assert {request.view for request in plain.values()}.isdisjoint(request.view for request in framed.values())


def test_what_is_not_set_is_not_in_a_record():
    assert "resolution" not in SegKNNSettings().model_dump(mode="json")
    assert SegKNNSettings(resolution=64).model_dump(mode="json")["resolution"] == 64


def test_a_frame_may_be_oblong():
    assert SegKNNSettings(resolution="64x128").frame == Frame((64, 128))
    assert SegKNNSettings(resolution="64x64") == SegKNNSettings(resolution=64)


@pytest.mark.parametrize("name", ["refcoco", "docvqa"])
def test_some_protocols_read_squares(name):
    with pytest.raises(ValidationError, match="resolution is 64x128, expected a square such as 128"):
        get_protocol(name).Settings(resolution="64x128")
    with pytest.raises(ValidationError, match="expected a square as resolution of sgd, got 64x128"):
        get_protocol("seg_linear").Settings(resolution="64x128", sgd={})


@pytest.mark.parametrize("resolution", [0, -16, 8193, "64x", "0x64", "64x8200", "64x64x64"])
def test_sizes_that_no_image_has(resolution):
    with pytest.raises(ValidationError, match="resolution"):
        SegKNNSettings(resolution=resolution)


@pytest.mark.parametrize(
    "chosen", [{"window": 32}, {"resolution": 64, "stride": 8}, {"resolution": 64, "window": 65},
               {"resolution": 64, "window": 32, "stride": 33}, {"resolution": "32x64", "window": 48}]
)  # fmt: skip
def test_windows_fit_in_an_image_and_leave_no_gap(chosen):
    with pytest.raises(ValidationError, match=r"expected both|expected at most"):
        SegKNNSettings(**chosen)


def test_windows_are_asked_for():
    settings = SegKNNSettings(resolution=64, window=32, stride=16)
    assert settings.frame == Frame((64, 64), 32, 16) and settings.model_dump()["stride"] == 16


@pytest.mark.parametrize(("name", "ability"), [("refcoco", "segment"), ("docvqa", "answer")])
def test_a_models_own_outputs_have_no_size(name, ability):
    protocol, info = get_protocol(name), EncoderInfo("m", "m", "f", "", {}, (8, 8), 0, False, (ability,))
    assert protocol.for_model(protocol.Settings(), info).mode == "native"
    with pytest.raises(IncompatibleError, match=f"^{name}'s mode is native: got resolution=64, expected none, since"):
        protocol.for_model(protocol.Settings(resolution=64), info)


@pytest.mark.parametrize("size", [(40, 90), (90, 31)])
@pytest.mark.parametrize("cells", [4, 7, 28])
def test_padding_is_never_read(cells, size):
    """Patches beyond those that touch the image, or lie next to one that does, change nothing that is scored."""
    said = torch.randn(cells, cells, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows, columns = (np.arange(cells) * max(size) / cells >= end + max(size) / cells for end in size)
    other = said.clone()
    other[rows], other[:, columns] = 1e6, -1e6
    assert (rows.any() or columns.any()) and not torch.equal(said, other)
    layout = Layout((cells, cells))
    assert np.array_equal(classes_at(said, size, (1, 1)), classes_at(other, size, (1, 1)))
    assert np.array_equal(at_pixels(said, size, (1, 1)), at_pixels(other, size, (1, 1)))
    truth = np.zeros(size, np.int16)
    known = patch_classes(truth, layout, 1) >= 0
    assert known.any() and not known[rows].any() and not known[:, columns].any()
