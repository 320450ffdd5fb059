"""open_clip models against open_clip's own calls."""

import json

import open_clip
import pytest
import torch
from open_clip_models import TEXT, VISION, VIT, local_dir
from PIL import Image

from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.errors import CheckpointError, ConfigError, IncompatibleError


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
            torch.testing.assert_close(ours["patches"] @ theirs.visual.proj, ours["projected_patches"])
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


@pytest.mark.parametrize("mean", [["a", "b", "c"], [{"a": 1}] * 3, [0.5, 0.5]])
def test_a_config_that_prepares_no_image_is_named_at_load(tmp_path, mean):
    spec = local_dir(tmp_path / "model", VIT)
    path = tmp_path / "model" / "open_clip_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "preprocess_cfg": {"mean": mean}}))
    with pytest.raises(CheckpointError, match=r"--model .* cannot be loaded: "):
        load_encoder(spec)


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


def test_weights_are_found_inside_a_training_checkpoint(tmp_path, tiny):
    state = tiny(a={}).state_dict()
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, tmp_path / "w.pt")
    encoder = load_encoder(f"open_clip:tiny/{tmp_path}/w.pt")
    assert encoder.info.extra["read_from"] == "w.pt, state_dict"
    assert torch.equal(encoder.model.visual.conv1.weight, state["visual.conv1.weight"])


def test_one_file_of_a_folder(tmp_path):
    spec = local_dir(tmp_path / "model", VIT)
    default = load_encoder(spec)
    weights = tmp_path / "model" / "open_clip_model.safetensors"
    other = weights.rename(weights.with_name("epoch_7.safetensors"))
    named = load_encoder(f"{spec}/{other.name}")
    assert named.info.preprocessing == default.info.preprocessing and named.info.name == "epoch_7"
    assert named.info.fingerprint == default.info.fingerprint
    with pytest.raises(CheckpointError, match=f"is of open_clip, expected open_clip:local-dir:{other}$"):
        load_encoder(str(other))


def test_images_need_no_tokenizer(tmp_path, tiny, monkeypatch):
    tiny(a={})
    config = open_clip.factory._MODEL_CONFIGS["tiny"]
    text = {**TEXT, "hf_tokenizer_name": "timm/nowhere"}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny", {**config, "text_cfg": text})
    encoder = load_encoder("open_clip:tiny?init=random", offline=True)
    assert not encoder.info.has_text
    with pytest.raises(IncompatibleError, match=r"has no tokenizer that can be loaded \(We couldn't connect"):
        encoder.encode_texts(["a cat"])


def test_a_tokenizer_with_more_tokens_than_the_text_tower_is_refused(tmp_path, monkeypatch):
    """PyTorch raises IndexError on a CPU, and on a GPU no more than an assertion of the device."""
    monkeypatch.setitem(TEXT, "vocab_size", 400)
    encoder = load_encoder(local_dir(tmp_path / "model", VIT))
    with pytest.raises(
        CheckpointError, match=r"tokenizer gives token 49,407, expected less than its vocabulary of 400"
    ):
        encoder.encode_texts(["a cat"])


def test_random_weights_are_seeded_and_leave_the_generator_alone(tiny):
    tiny(a={})
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    prints = [load_encoder(f"open_clip:tiny?init=random&seed={seed}").info.fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_folders_architecture_with_random_weights_is_not_the_trained_model(tmp_path):
    spec = local_dir(tmp_path / "model", VIT)
    trained, random, again = (load_encoder(spec + more) for more in ("", "?init=random&seed=7", "?init=random&seed=7"))
    assert random.info.extra["weights"] == "random, seed 7" and "weights" not in trained.info.extra
    assert random.info.fingerprint == again.info.fingerprint != trained.info.fingerprint
    for name, value in trained.model.state_dict().items():
        if name.endswith("in_proj_weight"):
            assert not torch.allclose(value, random.model.state_dict()[name]), name
    (file,) = (tmp_path / "model").glob("open_clip_model.*")
    with pytest.raises(ConfigError, match=r"got init=random and the weights of .*, expected one of them$"):
        load_encoder(f"open_clip:local-dir:{file}?init=random")
    file.unlink()
    assert load_encoder(f"{spec}?init=random&seed=7").info.fingerprint == random.info.fingerprint


def test_another_context_interpolates_the_positions_as_open_clip_does(tmp_path):
    spec = local_dir(tmp_path / "model", VIT)
    usual, longer, shorter = (load_encoder(spec + end) for end in ("", "?context=40", "?context=8"))
    text = "a photo of a cat and of two dogs, of a bird and three mice on a green lawn"
    assert usual.count_tokens([text, "a cat"]) == longer.count_tokens([text, "a cat"]) == [22, 4]
    assert [each.info.context_length for each in (usual, longer, shorter)] == [16, 40, 8]
    theirs = (
        open_clip.create_model(spec.removeprefix("open_clip:"), force_context_length=40).eval().requires_grad_(False)
    )
    with torch.inference_mode():
        expected = theirs.encode_text(open_clip.tokenize([text], context_length=40))
        torch.testing.assert_close(longer.encode_texts([text]), expected, rtol=1e-5, atol=1e-6)
        cut = usual.encode_texts([text, text.replace("lawn", "lake")])
        assert torch.equal(cut[0], cut[1])  # the end is beyond the 16 tokens
        assert not torch.allclose(*longer.encode_texts([text, text.replace("lawn", "lake")]))
    assert longer.info.name == usual.info.name + "_context_40"
    assert len({each.info.fingerprint for each in (usual, longer, shorter)}) == 3


def test_a_context_that_a_tower_does_not_allow():
    with pytest.raises(
        IncompatibleError, match=r"got context=200 for the text tower xlm-roberta-base, whose positions"
    ):
        load_encoder("open_clip:xlm-roberta-base-ViT-B-32?init=random&context=200")
