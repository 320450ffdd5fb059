"""How a tower's tokens are read: which are patches, their grid, and every pooling, by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mlcd_eval.encoders.adapters.hf.calls import Output
from mlcd_eval.encoders.adapters.hf.reader import Reader, Tokens, _grid_of
from mlcd_eval.errors import IncompatibleError

SEQUENCE = torch.arange(14.0).reshape(1, 7, 2)


def reader(patch_size=None, **family):
    """A reader without a model of a tower whose config has this patch size."""
    made = object.__new__(Reader)
    facts = {"prefix": None, "call": "images", "channels_last": False, "pool": ("cls", "mean"), **family}
    made.family, made.has_pooler, made.norm = SimpleNamespace(**facts), True, None
    made.tower = SimpleNamespace(config=SimpleNamespace(patch_size=patch_size))
    made.call = lambda tower, pixels: Output(SEQUENCE, torch.ones(1, 2, 1, 1))
    return made


def test_a_number_of_patches_forms_a_grid_of_the_images_aspect_or_none():
    assert _grid_of(196, (224, 224)) == (14, 14)
    assert (_grid_of(24, (64, 96)), _grid_of(24, (96, 64))) == ((4, 6), (6, 4))
    assert (_grid_of(0, (64, 64)), _grid_of(7, (64, 64))) == (None, None)


@pytest.mark.parametrize(
    ("facts", "tokens", "expected"),
    [
        ({"patch_size": 16}, 25, (1, (4, 6))),
        ({"patch_size": (16, 32)}, 12, (0, (4, 3))),
        ({"patch_size": 16}, 6, (0, (2, 3))),  # fewer than the pixels have patches: merged ones
        ({}, 24, (0, (4, 6))),
        ({"patch_size": 16, "call": "radio"}, 6, (0, (2, 3))),
        ({"patch_size": 16, "prefix": 3}, 9, (3, (2, 3))),
    ],
)
def test_where_patches_begin_and_their_grid_of_64_by_96_pixels(facts, tokens, expected):
    assert reader(**facts)._layout(Output(torch.zeros(1, tokens, 2)), (64, 96)) == expected


def test_packed_patches_form_no_grid():
    mask = torch.ones(1, 24, dtype=torch.bool)
    assert reader(16)._layout(Output(torch.zeros(1, 24, 2), mask=mask), (64, 96)) == (0, None)


def test_tokens_are_cut_and_normalised():
    made = reader(16)
    made.norm = nn.LayerNorm(2, elementwise_affine=False, eps=0.0)
    tokens = made._tokens(torch.zeros(1, 3, 32, 48))
    assert tokens.grid == (2, 3) and tokens.pooled.tolist() == [[1.0, 1.0]]
    assert tokens.prefix.tolist() == [[[-1.0, 1.0]]] and tokens.patches.tolist() == [[[-1.0, 1.0]] * 6]
    made.has_pooler = False
    assert made._tokens(torch.zeros(1, 3, 32, 48)).pooled is None


@pytest.mark.parametrize("channels_last", [False, True])
def test_maps_of_convolutions_are_patches_in_rows(channels_last):
    made = reader(channels_last=channels_last)
    rows = torch.arange(12.0).reshape(1, 2, 3, 2)
    made.call = lambda tower, pixels: Output(rows if channels_last else rows.permute(0, 3, 1, 2))
    tokens = made._tokens(torch.zeros(1, 3, 64, 96))
    assert tokens.grid == (2, 3) and torch.equal(tokens.patches, rows.reshape(1, 6, 2)) and tokens.prefix.shape[1] == 0


def test_every_pooling_by_hand():
    tokens = Tokens(torch.zeros(1, 2), SEQUENCE[:, :1], SEQUENCE[:, 1:], (2, 3), None)
    assert [tokens.pool(way).tolist() for way in ("pooler", "cls", "mean")] == [[[0, 0]], [[0, 1]], [[7, 8]]]
    masked = Tokens(
        None, SEQUENCE[:, :0], SEQUENCE, None, torch.tensor([[False, True, False, True, False, False, False]])
    )
    assert (masked.pool("pooler"), masked.pool("cls")) == (None, None)
    assert masked.pool("mean").tolist() == [[4, 5]]  # of (2, 3) and (6, 7)


def test_the_pooling_is_the_wanted_one_or_the_familys_first():
    pixels = torch.zeros(1, 3, 32, 48)
    first, wanted, none = reader(16), reader(16), reader(16, prefix=0, pool=("cls",))
    first.choose(pixels, None, "hf:x")
    wanted.choose(pixels, "pooler", "hf:x")
    none.choose(pixels, None, "hf:x")
    assert (first.pooling, wanted.pooling, none.pooling) == ("cls", "pooler", None)
    assert (first.has_class, none.has_class) == (True, False)
    assert first.in_words() == "cls: the class token" and none.in_words().startswith("none: it has no pooled feature")
    with pytest.raises(IncompatibleError, match="got pool=cls, expected one of pooler, mean"):
        none.choose(pixels, "cls", "hf:x")
