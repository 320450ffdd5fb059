"""What counts of a model's modules and tensors."""

import pytest
import torch
from hidden_encoders import PREAMBLE, Hidden
from torch import nn

from mlcd_eval.encoders.contents import contents
from mlcd_eval.encoders.registry import load_encoder


def module_with(**settings):
    module = nn.Linear(2, 2)
    nn.init.ones_(module.weight)
    nn.init.ones_(module.bias)
    for name, value in settings.items():
        setattr(module, name, value)
    encoder = Hidden()
    encoder.model = module
    return contents(encoder)


def test_settings_of_modules_count_but_not_where_they_came_from():
    plain = module_with()
    for setting in ({"heads": 2}, {"pool": "avg"}, {"eps": 1e-5}, {"sizes": [1, (2, 3)]}, {"act": torch.relu}):
        assert module_with(**setting) != plain
    assert module_with(pool="avg") != module_with(pool="max")
    assert module_with(act=torch.relu) != module_with(act=torch.tanh)
    for place in ({"name_or_path": "/a"}, {"pretrained_cfg": {"file": "/a"}}, {"fused_attn": True}, {"_cache": 1}):
        assert module_with(**place) == plain
    assert module_with(stages={"b", "a", "c"}) == module_with(stages={"c", "b", "a"}) != plain


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.zeros(2), torch.zeros(1, 2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float16)),
        (torch.zeros(2), torch.tensor([0.0, 1e-7])),
        (torch.zeros(2, 2).to_sparse(), torch.eye(2).to_sparse()),
        (torch.zeros(2, device="meta"), torch.zeros(3, device="meta")),
        (torch.zeros((), dtype=torch.bfloat16), torch.ones((), dtype=torch.bfloat16)),
    ],
)
def test_tensors_differ_by_values_shape_and_type(first, second):
    def hash_of(tensor):
        encoder = Hidden()
        encoder.tensor = tensor
        return contents(encoder)

    assert hash_of(first) == hash_of(first.clone()) != hash_of(second)


def test_a_layer_without_a_shape_yet_can_be_held():
    encoder = Hidden()
    encoder.model = nn.LazyLinear(3)
    assert contents(encoder) != contents(Hidden())


def test_a_factory_may_return_one_object_every_time(tmp_path, monkeypatch):
    (tmp_path / "one_object.py").write_text(f"{PREAMBLE}\nENCODER = Base()\ndef make():\n    return ENCODER\n")
    monkeypatch.setenv("SHIFT", "0")
    monkeypatch.syspath_prepend(tmp_path)
    first = load_encoder("python:one_object:make").info
    assert load_encoder("python:one_object:make").info == first
