"""timm models against timm's own calls."""

import pytest
import timm
import torch

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
