"""How towers of transformers are called: what they are given and which of their outputs is which."""

from types import SimpleNamespace

import pytest
import torch

from mlcd_eval.encoders.adapters.hf.calls import Output, call_of, naflex, pack


class Tower:
    """Returns what it is called with."""

    config = SimpleNamespace(patch_size=4, tubelet_size=3)

    def forward(self, pixel_values, interpolate_pos_encoding=False):
        pass

    def __call__(self, **given):
        self.given = given
        return SimpleNamespace(last_hidden_state="hidden", pooler_output="pooled")


class Plain(Tower):
    def forward(self, pixel_values):
        pass

    def __call__(self, **given):
        self.given = given
        return SimpleNamespace(last_hidden_state="hidden")


PIXELS = torch.rand(2, 3, 8, 12)


@pytest.mark.parametrize(
    ("tower", "options", "given", "pooled"),
    [
        (Tower(), {}, {}, "pooled"),
        (Tower(), {"image_size": "12"}, {"interpolate_pos_encoding": True}, "pooled"),
        (Plain(), {"image_size": "12"}, {}, None),
    ],
)
def test_positions_are_interpolated_where_that_is_asked_for_and_possible(tower, options, given, pooled):
    assert call_of("images", options)(tower, PIXELS) == Output("hidden", pooled)
    assert tower.given.pop("pixel_values") is PIXELS and tower.given == given


@pytest.mark.parametrize(("options", "resized"), [({}, False), ({"image_size": "12"}, True)])
def test_mae_masks_nothing_and_keeps_the_order(options, resized):
    tower = Tower()
    assert call_of("mae", options)(tower, PIXELS).pooled == "pooled"
    assert tower.given["noise"].tolist() == [[0, 1, 2, 3, 4, 5]] * 2  # 2 x 3 patches
    assert tower.given["interpolate_pos_encoding"] is resized and tower.given["pixel_values"] is PIXELS


@pytest.mark.parametrize("options", [{}, {"image_size": "12"}])
def test_a_still_image_fills_a_tubelet(options):
    tower = Tower()
    assert call_of("video", options)(tower, PIXELS) == Output("hidden", "pooled")
    assert tower.given["skip_predictor"] is True
    clip = tower.given["pixel_values_videos"]
    assert clip.shape == (2, 3, 3, 8, 12) and all(torch.equal(clip[:, frame], PIXELS) for frame in range(3))


def test_radio_has_one_output_or_one_for_each_adaptor():
    alone = SimpleNamespace(summary="s", features="f")
    heads = {"backbone": alone, "clip": SimpleNamespace(summary="s2", features="f2")}
    assert call_of("radio", {})(lambda _: alone, PIXELS) == Output("f", "s")
    assert call_of("radio", {})(lambda _: heads, PIXELS) == Output("f", "s")
    assert call_of("radio", {"adaptor": "clip"})(lambda _: heads, PIXELS) == Output("f2", "s2")


def test_packed_patches_are_unpacked_with_their_mask_and_shape():
    """Two images of 2 x 2 and 1 x 3 patches of 2 x 2 pixels, padded to four patches."""
    patches = torch.arange(2 * 4 * 12, dtype=torch.float32).reshape(2, 4, 12)
    shapes = torch.tensor([[2, 2], [1, 3]])
    packed = torch.stack([pack(*pair) for pair in zip(patches, shapes, strict=True)])
    assert packed.shape == (2, 3, 5, 4)
    assert packed[0, 1, 2].tolist() == patches[0, 2, 1::3].tolist()  # the green values of the third patch
    tower = Tower()
    output = naflex(tower, packed)
    assert torch.equal(tower.given["pixel_values"], patches) and torch.equal(tower.given["spatial_shapes"], shapes)
    assert tower.given["pixel_attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert tower.given["pixel_attention_mask"].dtype == torch.int64
    assert (output.hidden, output.pooled) == ("hidden", "pooled")
    assert output.mask.tolist() == [[True] * 4, [True, True, True, False]]
