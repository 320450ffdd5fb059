"""timm models against timm's own calls."""

import pytest
import timm
import torch
from PIL import Image

from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.errors import CheckpointError, ConfigError


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_layers_agree_with_timm(name, tmp_path):
    torch.manual_seed(0)
    theirs = timm.create_model(name, pretrained=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    encoder = load_encoder(f"timm:{name}?checkpoint={tmp_path / 'weights.pt'}")
    pixels = torch.randn(2, 3, *encoder.info.image_size)
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, list(encoder.info.layers))
        torch.testing.assert_close(theirs.get_classifier()(ours["penultimate"]), theirs(pixels))
    assert ("patches" in ours) == (name == "test_vit")
    assert not encoder.info.has_text
    assert {layer: value.shape[-1] for layer, value in ours.items()} == encoder.info.layers


@pytest.mark.parametrize("name", ["test_vit", "resnet10t", "test_convnext", "test_efficientnet"])
@pytest.mark.parametrize("num_classes", [0, 7])
def test_a_checkpoint_may_have_any_classifier(name, num_classes, tmp_path):
    torch.manual_seed(0)
    theirs = timm.create_model(name, num_classes=num_classes).eval()
    torch.save({"state_dict": theirs.state_dict()}, tmp_path / "weights.pt")
    encoder = load_encoder(f"timm:{name}?checkpoint={tmp_path / 'weights.pt'}")
    pixels = torch.randn(2, 3, *encoder.info.image_size)
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, ["penultimate"])["penultimate"]
        assert torch.equal(ours, theirs.forward_head(theirs.forward_features(pixels), pre_logits=True))


def test_img_size(tmp_path):
    theirs = timm.create_model("test_vit", img_size=96)
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    encoder = load_encoder(f"timm:test_vit?checkpoint={tmp_path / 'weights.pt'}&img_size=96")
    assert encoder.info.image_size == (96, 96)
    assert encoder.preprocess(Image.new("RGB", (50, 40))).shape == (3, 96, 96)
    with pytest.raises(ConfigError, match="test_resnet has no img_size"):
        load_encoder("timm:test_resnet?init=random&img_size=96")
    with pytest.raises(ConfigError, match="got option img_size=0, expected"):
        load_encoder("timm:test_vit?init=random&img_size=0")


def test_a_checkpoint_of_another_architecture_is_one_sentence(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(timm.create_model("test_vit", img_size=96).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"1 tensors differ: first pos_embed, got \(1, 37, 64\), expected \(1, "):
        load_encoder(f"timm:test_vit?checkpoint={path}")
    torch.save({"epoch": 3, "head.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"tensors differ: first blocks.0.\S*, got none, expected \([0-9, ]+\)$"):
        load_encoder(f"timm:test_vit?checkpoint={path}")


def test_random_weights_are_seeded():
    prints = [load_encoder(f"timm:test_vit?init=random&seed={seed}").info.fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_mistakes_are_one_sentence():
    with pytest.raises(ConfigError, match=r"timm has no model 'test_vti'.*did you mean 'test_vit"):
        load_encoder("timm:test_vti")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_encoder("timm:test_vit", offline=True)
    with pytest.raises(CheckpointError, match=r"no file nowhere\.pt"):
        load_encoder("timm:test_vit?checkpoint=nowhere.pt")
