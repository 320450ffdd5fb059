"""Sizes that a request asks for: which a model takes, said before anything is encoded."""

import dataclasses

import pytest

from mlcd_eval.encoders.base import EncoderInfo
from mlcd_eval.encoders.sizes import Sizes
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.protocols.frame import Frame

INFO = EncoderInfo("m", "m", "f", "resize", {"patches": 4}, (32, 32), 0, False, sizes=Sizes(8, "interpolated"))
FIXED = dataclasses.replace(INFO, sizes=None)
OBLONG = dataclasses.replace(FIXED, image_size=(32, 16))


@pytest.mark.parametrize(
    ("frame", "info", "message"),
    [
        (Frame((60, 60)), INFO, r"^t: got resolution=60, expected a multiple of the 8 pixels of a patch of model 'm', "
                                r"such as 64$"),
        (Frame((64, 64)), FIXED, r"^t: got resolution=64, but model 'm' takes images of 32 x 32 pixels only, expected "
                                 r"none$"),
        (Frame((32, 16)), OBLONG, r"^t: got resolution=32x16, but model 'm' takes images of 32 x 16 pixels only, "
                                  r"expected none$"),
        (Frame((32, 60)), INFO, r"^t: got resolution=32x60, expected a multiple of the 8 pixels of a patch of model "
                                r"'m', such as 64$"),
    ],
)  # fmt: skip
def test_what_a_model_does_not_take_is_said(frame, info, message):
    with pytest.raises(IncompatibleError, match=message):
        frame.check("t", info)


def test_the_own_size_is_always_taken():
    Frame((32, 32)).check("t", FIXED)
    assert Frame((32, 32)).details(FIXED) == {"resolution": 32, "positions": "native"}


def test_a_record_says_how_positions_came():
    assert Frame((56, 56)).details(INFO) == {"resolution": 56, "positions": "interpolated from 4 x 4 to 7 x 7"}
    rotary = dataclasses.replace(INFO, sizes=Sizes(8, "native"))
    assert Frame((56, 56)).details(rotary)["positions"] == "native"


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            Frame((64, 64), 60),
            r"^t: got window=60, expected a multiple of the 8 pixels of a patch of model 'm', such as 64$",
        ),
        (Frame((64, 64), 32, 20), r"^t: got stride=20, expected a multiple of the 8 pixels .* such as 16$"),
    ],
)
def test_windows_are_of_whole_patches(frame, message):
    with pytest.raises(IncompatibleError, match=message):
        frame.check("t", INFO)


def test_a_record_says_how_many_windows_there_were():
    windows = {"side": 32, "stride": 16, "per_image": 9}
    assert Frame((64, 64), 32).details(INFO) == {"resolution": 64, "positions": "native", "windows": windows}
    larger = Frame((64, 64), 48).details(INFO)
    assert larger["positions"] == "interpolated from 4 x 4 to 6 x 6" and larger["windows"]["per_image"] == 4
