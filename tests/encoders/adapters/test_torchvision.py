"""torchvision models against torchvision's own calls."""

import functools
import warnings

import pytest
import torch
import torchvision
from PIL import Image

from mlcd_eval.encoders.adapters.torchvision import _old_options
from mlcd_eval.encoders.published import PublishedWeightsDiffer
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.errors import CheckpointError, ConfigError

MEAN_POOLED = ["resnet18", "squeezenet1_1", "shufflenet_v2_x0_5", "mnasnet0_5"]


def library(name, **options):
    torch.manual_seed(0)
    return torchvision.models.get_model(name, weights=None, **options).eval().requires_grad_(False)


@pytest.mark.parametrize("name", MEAN_POOLED)
def test_layers_agree_with_torchvision(name, tmp_path):
    theirs = library(name)
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    encoder = load_encoder(f"torchvision:{name}?weights={tmp_path / 'w.pth'}&like=IMAGENET1K_V1")
    pixels = torch.randn(2, 3, 96, 96)
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, ["penultimate", "patches"])
        logits = theirs(pixels)
    torch.testing.assert_close(ours["patches"].mean((1, 2)), ours["penultimate"], rtol=1e-4, atol=1e-5)
    if hasattr(theirs, "fc"):
        torch.testing.assert_close(theirs.fc(ours["penultimate"]), logits, rtol=1e-4, atol=1e-4)
    assert encoder.info.num_params == sum(parameter.numel() for parameter in theirs.parameters())
    assert encoder.info.extra["read_from"] == "w.pth" and not encoder.info.has_text


def test_the_models_with_heads_for_training_are_built_without_them():
    """Their published weights came from TensorFlow, whose scaling of pixels these two do themselves."""
    for name in ("googlenet", "inception_v3"):
        for published in (True, False):
            options = _old_options(name, published)
            assert options == {"aux_logits": False, "transform_input": published, "init_weights": True}
    assert _old_options("resnet18", True) == {}


def test_a_vits_patches_are_its_tokens(monkeypatch):
    small = functools.partial(torchvision.models.VisionTransformer, 224, 32, 1, 2, 32, 64)
    monkeypatch.setattr(torchvision.models, "get_model", lambda *_, **__: small())
    encoder = load_encoder("torchvision:vit_b_32?init=random")
    with torch.inference_mode():
        pixels = torch.randn(1, 3, 224, 224)
        ours = encoder.encode_images(pixels, ["penultimate", "patches"])
        model = encoder.model
        tokens = model.encoder(torch.cat([model.class_token, model._process_input(pixels)], dim=1))
    torch.testing.assert_close(ours["penultimate"], tokens[:, 0])
    torch.testing.assert_close(ours["patches"], tokens[:, 1:].unflatten(1, (7, 7)))


def test_a_checkpoint_may_have_any_classifier_and_two_loads_are_one_model(tmp_path):
    state = library("shufflenet_v2_x0_5", num_classes=7).state_dict()
    torch.save({"model": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "w.pth")
    spec = f"torchvision:shufflenet_v2_x0_5?weights={tmp_path / 'w.pth'}"
    first, second = (load_encoder(spec).info for _ in range(2))
    assert first.fingerprint == second.fingerprint and first.extra["read_from"] == "w.pth, model"
    torch.save(library("squeezenet1_1").state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match=r"another architecture, \d+ tensors differ: first classifier.1.bias, got"
    ):
        load_encoder(spec)


def test_images_are_prepared_as_the_weights_were(tmp_path):
    """Both published weights of this RegNet, which differ in the size before the crop; a file is known by its name."""
    enum = torchvision.models.RegNet_Y_400MF_Weights
    state = library("regnet_y_400mf").state_dict()
    image = Image.effect_mandelbrot((50, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    for weights in enum:
        path = tmp_path / weights.url.rsplit("/", 1)[-1]
        torch.save(state, path)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encoder = load_encoder(f"torchvision:regnet_y_400mf?weights={path}")
        assert torch.equal(encoder.preprocess(image), weights.transforms()(image))
    path = path.rename(tmp_path / "mine.pth")
    with pytest.warns(PublishedWeightsDiffer, match="1 of 2"):
        load_encoder(f"torchvision:regnet_y_400mf?weights={path}")
    like = load_encoder(f"torchvision:regnet_y_400mf?weights={path}&like=IMAGENET1K_V2")
    assert torch.equal(like.preprocess(image), enum.IMAGENET1K_V2.transforms()(image))


def test_mistakes_are_one_sentence(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=r"no classification model 'resnet51' \(did you mean 'resnet50'\?\)"):
        load_encoder("torchvision:resnet51?init=random")
    with pytest.raises(ConfigError, match=r"weights=TAG with TAG one of IMAGENET1K_V1, IMAGENET1K_V2, or init=random"):
        load_encoder("torchvision:resnet50")
    with pytest.raises(CheckpointError, match=r"no file IMAGENET1K_V3, expected .*did you mean"):
        load_encoder("torchvision:resnet50?weights=IMAGENET1K_V3")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(CheckpointError, match=r"no .*resnet18-f37072fd.pth, expected it there offline"):
        load_encoder("torchvision:resnet18?weights=IMAGENET1K_V1", offline=True)
    path = tmp_path / "of_another.pth"
    torch.save(
        torchvision.models.resnet18(num_classes=3).state_dict() | {"conv1.weight": torch.ones(64, 1, 7, 7)}, path
    )
    differs = r"1 tensors differ: first conv1.weight, got \(64, 1, 7, 7\), expected \(64, 3, 7, 7\)$"
    with pytest.raises(CheckpointError, match=differs):
        load_encoder(f"torchvision:resnet18?weights={path}")
