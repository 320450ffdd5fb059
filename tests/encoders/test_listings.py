"""Names read from the libraries' files, against what the libraries say when they are imported."""

import open_clip
import pytest
import timm
import torchvision
from fresh_python import printed
from timm.models._registry import _deprecated_models

from mlcd_eval.encoders.listings import open_clip_architectures, open_clip_tags, timm_models, torchvision_models


def test_open_clip():
    assert open_clip_architectures() == sorted(open_clip.list_models())
    for name in open_clip.list_models():
        assert open_clip_tags().get(name, []) == open_clip.list_pretrained_tags_by_model(name)


def test_timm():
    """Every name is found; of tags, all of a model or none, since some are made by functions."""
    models = timm_models()
    assert {*timm.list_models(), *_deprecated_models} <= models.keys()
    for full in timm.list_pretrained():
        name, _, tag = full.partition(".")
        assert not tag or not models[name] or tag in models[name]
    assert sum(map(bool, models.values())) > 900


def test_torchvision():
    names = torchvision.models.list_models(module=torchvision.models)
    enums = {name: [weights.name for weights in torchvision.models.get_model_weights(name)] for name in names}
    assert torchvision_models() == enums


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("open_clip:ViT-B-32/opanai", "no weights 'opanai' for ViT-B-32"),
        ("timm:vit_base_patch16_242", "timm has no model 'vit_base_patch16_242' (did you mean 'vit_base_patch16_224'"),
        ("timm:resnet18.a1_in2k", "no weights 'a1_in2k' for resnet18"),
        ("torchvision:resnet50?weights=V9", "no file V9"),
        ("onnx:nowhere.onnx?mean=0,0,0&std=1,1,1", "no file nowhere.onnx, expected an ONNX model"),
    ],
)
def test_plan_refuses_them_without_importing_torch(spec, message):
    code = (
        "import sys; from mlcd_eval.encoders.registry import check_spec\n"
        f"try:\n    check_spec({spec!r})\nexcept Exception as error:\n    print(type(error).__name__, error)\n"
        "assert 'torch' not in sys.modules and 'timm' not in sys.modules"
    )
    said = printed(code)
    assert said.startswith(("ConfigError", "CheckpointError")) and message in said
