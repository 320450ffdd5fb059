"""open_clip models against open_clip's own calls."""

import json
import warnings

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mlcd_eval.encoders.adapters.open_clip import QuickGELUWarning, _warn_quick_gelu
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.errors import CheckpointError, ConfigError

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
VISION = {
    "vit": VIT,
    "vit_average_pool": {**VIT, "pool_type": "avg", "final_ln_after_pool": True},
    "resnet": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16},
    "siglip": {
        "image_size": 32,
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "token",
        "timm_proj": "none",
    },
    "timm_linear": {
        "image_size": 32,
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": "linear",
    },
}


def local_dir(folder, vision, embed_dim=24):
    config = {"embed_dim": embed_dim, "vision_cfg": vision, "text_cfg": TEXT}
    if "timm_model_name" in vision:
        config["embed_dim"] = 192 if vision["timm_proj"] == "none" else embed_dim
        config["custom_text"] = True
        config["vision_cfg"] = {**vision, "image_size": 224}
    folder.mkdir()
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    torch.manual_seed(0)
    model = open_clip.CustomTextCLIP(**config_args(config)) if config.get("custom_text") else open_clip.CLIP(**config)
    save_file(
        {name: tensor.contiguous() for name, tensor in model.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    return f"open_clip:local-dir:{folder}"


def config_args(config):
    return {key: value for key, value in config.items() if key != "custom_text"}


@pytest.mark.parametrize("kind", VISION)
def test_layers_agree_with_open_clip(tmp_path, kind):
    spec = local_dir(tmp_path / "model", VISION[kind])
    encoder = load_encoder(spec)
    theirs, _, _ = open_clip.create_model_and_transforms(spec.removeprefix("open_clip:"))
    theirs.eval().requires_grad_(False)  # as ours: PyTorch takes another way through attention
    pixels = torch.randn(3, 3, *encoder.info.image_size)
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, list(encoder.info.layers))
        torch.testing.assert_close(ours["projected"], theirs.encode_image(pixels), rtol=1e-5, atol=1e-6)
        if kind.startswith("vit"):
            torch.testing.assert_close(ours["penultimate"] @ theirs.visual.proj, ours["projected"])
            assert ours["patches"].shape == (3, 4, 4, 32)
        elif kind == "resnet":
            projected = theirs.visual.attnpool.c_proj(ours["penultimate"])
            torch.testing.assert_close(projected, ours["projected"], rtol=1e-5, atol=1e-6)
        elif kind == "siglip":
            assert torch.equal(ours["penultimate"], ours["projected"])
            assert ours["patches"].shape == (3, 14, 14, 192)
        else:
            torch.testing.assert_close(theirs.visual.head(ours["penultimate"]), ours["projected"])
        texts = ["a cat", "two dogs on a hill"]
        tokens = open_clip.get_tokenizer(spec.removeprefix("open_clip:"))(texts)
        assert torch.equal(encoder.encode_texts(texts), theirs.encode_text(tokens))
    assert {layer: value.shape[-1] for layer, value in ours.items()} == encoder.info.layers
    assert encoder.info.has_text
    assert encoder.info.num_params == sum(p.numel() for p in theirs.parameters())


def test_preprocessing_is_open_clips_and_says_what_it_does(tmp_path):
    spec = local_dir(tmp_path / "model", VIT)
    encoder = load_encoder(spec)
    _, _, transform = open_clip.create_model_and_transforms(spec.removeprefix("open_clip:"))
    image = Image.effect_mandelbrot((50, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    assert torch.equal(encoder.preprocess(image), transform(image))
    for part in ("size=32", "bicubic", "0.25"):
        assert part in encoder.info.preprocessing


def test_the_fingerprint_is_of_the_weights(tmp_path):
    first = load_encoder(local_dir(tmp_path / "a", VIT)).info
    second = load_encoder(local_dir(tmp_path / "b", VIT)).info
    other = load_encoder(local_dir(tmp_path / "c", {**VIT, "width": 48})).info
    assert first.fingerprint == second.fingerprint != other.fingerprint
    assert (first.name, second.name) == ("a", "b")


def test_the_fingerprint_knows_what_no_tensor_shows(tmp_path):
    """Features are kept under it: equal weights with another activation or tokenizer must not get these."""
    spec = local_dir(tmp_path / "a", VIT)
    before = load_encoder(spec).info.fingerprint
    path = tmp_path / "a" / "open_clip_config.json"
    config = json.loads(path.read_text())
    for change in ({"quick_gelu": True}, {"text_cfg": {**TEXT, "tokenizer_kwargs": {"clean": "canonicalize"}}}):
        path.write_text(json.dumps({**config, "model_cfg": {**config["model_cfg"], **change}}))
        assert load_encoder(spec).info.fingerprint != before
    longest = {**config["preprocess_cfg"], "resize_mode": "longest"}
    prints = set()
    for colour in (0, 127):  # its transform does not print the colour that it pads with
        path.write_text(json.dumps({**config, "preprocess_cfg": {**longest, "fill_color": colour}}))
        prints.add(load_encoder(spec).info.fingerprint)
    assert len(prints) == 2 and before not in prints
    path.write_text(json.dumps(config))
    assert load_encoder(spec).info.fingerprint == before


def test_random_weights_are_seeded_and_leave_the_generator_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    prints = [load_encoder(f"open_clip:ViT-M-32-alt?init=random&seed={seed}").info.fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]
    assert torch.equal(before, torch.random.get_rng_state())


def test_mistakes_are_one_sentence(tmp_path):
    spec = local_dir(tmp_path / "model", VIT)
    (tmp_path / "empty").mkdir()
    config = json.loads((tmp_path / "model" / "open_clip_config.json").read_text())
    (tmp_path / "empty" / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"no weights in .*empty"):
        load_encoder(f"open_clip:local-dir:{tmp_path / 'empty'}")
    config["model_cfg"]["vision_cfg"]["width"] = 48
    (tmp_path / "model" / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=r"cannot be loaded: .*size mismatch") as caught:
        load_encoder(spec)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"no weights 'opanai' for ViT-B-32.*did you mean 'openai'"):
        load_encoder("open_clip:ViT-B-32/opanai")
    with pytest.raises(ConfigError, match="names no weights"):
        load_encoder("open_clip:ViT-B-32")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_encoder("open_clip:hf-hub:org/name", offline=True)


def test_quick_gelu_weights_in_a_gelu_model_are_warned_of():
    with pytest.warns(QuickGELUWarning, match=r"use open_clip:ViT-B-32-quickgelu/openai"):
        _warn_quick_gelu("ViT-B-32", "openai")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _warn_quick_gelu("ViT-B-32-quickgelu", "openai")
        _warn_quick_gelu("ViT-B-32", "laion2b_s34b_b79k")
        _warn_quick_gelu("ViT-B-32", None)
