"""Exports: three libraries load the same features as the model in memory."""

import pytest
import torch
from PIL import Image

from mlcd_eval import load_encoder
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, CheckpointEncoder, save_checkpoint
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.errors import ConfigError, IncompatibleError
from mlcd_train.export import export
from mlcd_train.fit import new_model

VISION = {"image_size": 32, "patch_size": 8, "width": 64, "depth": 2, "heads": 2}
TEXT = {"context_length": 12, "width": 32, "depth": 2, "heads": 2}
TEXTS = ["a red thing", "something much longer than the context of twelve tokens can possibly hold", ""]
# shorter side resized to 32, the longer to 40: transformers crops an odd rest one pixel beside where torchvision does
IMAGE = Image.effect_mandelbrot((50, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB")


def make(positions="absolute", text=True, embed_dim=16, **vision):
    config = CheckpointConfig(
        vision={**VISION, "positions": positions, **vision},
        text=TEXT if text else None,
        embed_dim=embed_dim,
        preprocess=Preprocess(image_size=32, mean=(0.5, 0.4, 0.3)),
    )
    model = new_model(config, 0, torch.device("cpu"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.05)
    return model


def outputs(encoder, layers):
    pixels = encoder.preprocess(IMAGE)[None]
    with torch.inference_mode():
        features = encoder.encode_images(pixels, layers)
        texts = encoder.encode_texts(TEXTS) if encoder.info.has_text else None
    return features, texts


def agree(model, spec, layers, text):
    expected, expected_texts = outputs(CheckpointEncoder("memory", model), layers)
    features, texts = outputs(load_encoder(spec), layers)
    for layer in layers:
        torch.testing.assert_close(features[layer], expected[layer], rtol=1e-4, atol=1e-4)
    if text:
        torch.testing.assert_close(texts, expected_texts, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("embed_dim", [16, None])
def test_all_three_loaders_agree_with_the_model_in_memory(tmp_path, embed_dim):
    model = make(embed_dim=embed_dim)
    save_checkpoint(tmp_path / "ours", model)
    export(model, tmp_path / "hf", "hf")
    export(model, tmp_path / "oc", "open_clip")
    agree(model, str(tmp_path / "ours"), ["penultimate", "projected", "patches"], text=True)
    agree(model, f"hf:{tmp_path / 'hf'}", ["penultimate", "patches"], text=False)
    agree(model, f"open_clip:local-dir:{tmp_path / 'oc'}", ["penultimate", "projected", "patches"], text=True)


def test_rotary_positions_become_an_mlcd_vision_model(tmp_path):
    import transformers

    model = make("rope2d")
    export(model, tmp_path / "hf", "hf")
    agree(model, f"hf:{tmp_path / 'hf'}", ["penultimate", "patches"], text=False)
    theirs = transformers.MLCDVisionModel.from_pretrained(tmp_path / "hf")
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "hf")
    pixels = processor(images=IMAGE, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        ours = model.encode_image(pixels)["penultimate"]
        torch.testing.assert_close(theirs(pixel_values=pixels).pooler_output, ours, rtol=1e-4, atol=1e-4)


def test_quick_gelu_is_kept_by_hf(tmp_path):
    model = make(activation="quick_gelu")
    export(model, tmp_path / "hf", "hf")
    agree(model, f"hf:{tmp_path / 'hf'}", ["penultimate"], text=False)


@pytest.mark.parametrize(
    ("model", "format", "message"),
    [
        ({"text": False}, "open_clip", "the checkpoint has no text tower"),
        ({"positions": "rope2d"}, "open_clip", "positions are rope2d"),
        ({"activation": "quick_gelu"}, "open_clip", "activation is quick_gelu"),
        ({"positions": "rope2d", "rope_theta": 100.0}, "hf", "rope_theta is 100.0"),
        ({"pre_norm": False}, "hf", "export hf: pre_norm is false, expected true, as in CLIPVisionModel"),
    ],
)
def test_what_a_format_cannot_hold_is_reported_and_leaves_nothing(tmp_path, model, format, message):
    with pytest.raises(IncompatibleError, match=message):
        export(make(**model), tmp_path / "out", format)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    with pytest.raises(ConfigError, match="already exists"):
        export(make(), tmp_path, "hf")


def test_the_command_exports_a_run(make_config, capsys):
    from mlcd_train.cli import main

    config = make_config(lit=True)
    path = str(make_config.path())
    assert main(["export", path]) == 2
    assert "embed is not done" in capsys.readouterr().err
    assert main(["run", path]) == 0
    assert main(["export", path, "--format", "hf"]) == 0
    assert main(["export", path, "--format", "open_clip", "--to", str(config.output / "oc")]) == 0
    load_encoder(f"hf:{config.output / 'mlcd_tiny-hf'}")
    load_encoder(f"open_clip:local-dir:{config.output / 'oc'}")
