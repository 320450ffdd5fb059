"""timm models against timm's own calls."""

import json

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

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


def save_local_dir(folder, **config):
    """A folder as timm saves it, of equal weights whatever the config."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(0)
    save_file(timm.create_model("test_vit", num_classes=0).state_dict(), folder / "model.safetensors")
    document = {"architecture": "test_vit", "num_classes": 0, **config}
    document["pretrained_cfg"] = {"input_size": [3, 160, 160], "num_classes": 0, **config.get("pretrained_cfg", {})}
    (folder / "config.json").write_text(json.dumps(document))
    return f"timm:local-dir:{folder}"


def test_the_fingerprint_knows_what_no_tensor_shows(tmp_path):
    """Features are kept under it: equal weights that are pooled or normalised otherwise must not get these."""
    before = load_encoder(save_local_dir(tmp_path / "a")).info
    assert load_encoder(save_local_dir(tmp_path / "moved")).info.fingerprint == before.fingerprint
    for arguments in (
        {"global_pool": "avg", "fc_norm": False},
        {"act_layer": "relu"},
        {"num_heads": 4},
        {"pool_include_prefix": True},
    ):
        changed = load_encoder(save_local_dir(tmp_path / "a", model_args=arguments)).info
        assert changed.fingerprint != before.fingerprint, arguments
    cropped = load_encoder(save_local_dir(tmp_path / "a", pretrained_cfg={"crop_mode": "border"})).info
    assert cropped.preprocessing != before.preprocessing
    assert load_encoder(save_local_dir(tmp_path / "a")).info == before


def test_mistakes_are_one_sentence():
    with pytest.raises(ConfigError, match=r"timm has no model 'test_vti'.*did you mean 'test_vit"):
        load_encoder("timm:test_vti")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_encoder("timm:test_vit", offline=True)
    with pytest.raises(CheckpointError, match=r"no file nowhere\.pt"):
        load_encoder("timm:test_vit?checkpoint=nowhere.pt")
    with pytest.raises(CheckpointError, match=r"no /nowhere/config\.json, expected it there"):
        load_encoder("timm:local-dir:/nowhere")
