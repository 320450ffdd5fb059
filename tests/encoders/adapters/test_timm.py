"""timm models against timm's own calls."""

import json

import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from mlcd_eval.encoders.adapters.timm_weights import create_with_file
from mlcd_eval.encoders.registry import load_encoder, parse
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
        features = theirs.forward_features(pixels)
    grid = features[:, 1:].unflatten(1, (10, 10)) if name == "test_vit" else features.movedim(1, -1)
    assert torch.equal(ours["patches"], grid)
    assert not encoder.info.has_text
    assert {layer: value.shape[-1] for layer, value in ours.items()} == encoder.info.layers


def test_the_feature_map_of_a_swin_has_its_channels_last(monkeypatch):
    create, small = timm.create_model, {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2)}
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, **options, **small))
    encoder = load_encoder("timm:swin_tiny_patch4_window7_224?init=random&img_size=56")
    pixels = torch.randn(2, 3, 56, 56)
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, ["penultimate", "patches"])
        features = encoder.model.forward_features(pixels)
    assert ours["patches"].shape == (2, 7, 7, 32) and torch.equal(ours["patches"], features)
    torch.testing.assert_close(ours["patches"].mean(dim=(1, 2)), ours["penultimate"])


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
    with pytest.raises(ConfigError, match="got option img_size=0, expected"):
        load_encoder("timm:test_vit?init=random&img_size=0")


def test_a_checkpoint_of_another_architecture_is_one_sentence(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(timm.create_model("test_vit", depth=7).state_dict(), path)
    with pytest.raises(
        CheckpointError, match=r"12 tensors differ: first blocks.6.\S+, got \([0-9, ]+\), expected none"
    ):
        load_encoder(f"timm:test_vit?checkpoint={path}")
    torch.save({"epoch": 3, "head.weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=r"tensors differ: first blocks.0.\S*, got none, expected \([0-9, ]+\)$"):
        load_encoder(f"timm:test_vit?checkpoint={path}")


@pytest.mark.parametrize(
    ("name", "size"), [("test_resnet", 192), ("pit_ti_224", 192), ("coat_lite_tiny", 192), ("crossvit_tiny_240", 480)]
)
def test_img_size_of_models_without_a_grid(name, size):
    """PiT, CoaT and CrossViT have several stages; a convolutional network takes any size."""
    encoder = load_encoder(f"timm:{name}?init=random&img_size={size}")
    pixels = encoder.preprocess(Image.new("RGB", (50, 40)))[None]
    assert pixels.shape == (1, 3, size, size)
    encoder.model.reset_classifier(0)
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, ["penultimate"])["penultimate"]
        torch.testing.assert_close(ours, encoder.model(pixels))


def test_a_size_that_an_architecture_cannot_take():
    """CrossViT's second branch sees the image at 224/240 of its size, in patches of 16."""
    with pytest.raises(ConfigError, match=r"crossvit_tiny_240 cannot take images of 192 pixels \("):
        load_encoder("timm:crossvit_tiny_240?init=random&img_size=192")


def mean_of_patches(model, pixels):
    return model.forward_features(pixels)[:, model.num_prefix_tokens :].mean(1)


def test_dinov3_is_pooled_as_its_authors_evaluate_it(monkeypatch):
    """By the class token, although timm's model takes the mean; every choice can be made."""
    small = {"depth": 1, "embed_dim": 32, "num_heads": 2, "img_size": 64}
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, **{**options, **small}))
    spec = "timm:vit_small_patch16_dinov3?init=random"
    encoder = load_encoder(spec)
    pixels = torch.randn(2, 3, 64, 64)
    right = {
        "token": lambda model: model.forward_features(pixels)[:, 0],
        "avg": lambda model: mean_of_patches(model, pixels),
    }
    assert encoder.info.extra["pooling"] == "token"
    prints = set()
    for pool, pooled in right.items():
        chosen = load_encoder(f"{spec}&global_pool={pool}")
        with torch.inference_mode():
            ours = chosen.encode_images(pixels, ["penultimate"])["penultimate"]
            torch.testing.assert_close(ours, pooled(chosen.model))
        assert chosen.info.extra["pooling"] == pool
        prints.add(chosen.info.fingerprint)
    assert len(prints) == 2 and encoder.info.fingerprint in prints
    assert set(load_encoder(f"{spec}&global_pool=none").info.layers) == {"patches"}
    with pytest.raises(ConfigError, match=r"vit_small_patch16_dinov3 cannot be pooled by 'map'"):
        load_encoder(f"{spec}&global_pool=map")


def test_global_pool_of_a_convolutional_network():
    encoder = load_encoder("timm:test_resnet?init=random&global_pool=avg")
    assert encoder.info.extra["pooling"] == "avg"
    with pytest.raises(ConfigError, match=r"test_resnet cannot be pooled by 'token'"):
        load_encoder("timm:test_resnet?init=random&global_pool=token")


def test_dinov2s_release_files_and_weights_of_another_size(tmp_path):
    """timm's own filter drops the mask token and resamples position embeddings; the record says so."""
    theirs = timm.create_model("vit_small_patch14_dinov2", num_classes=0, depth=1, img_size=518)
    state = {**theirs.state_dict(), "mask_token": torch.zeros(1, 384)}
    teacher = {f"backbone.{name}": value for name, value in state.items()}
    torch.save({"teacher": {**teacher, "dino_head.mlp.0.weight": torch.zeros(2, 2)}}, tmp_path / "w.pth")
    small = timm.create_model("vit_small_patch14_dinov2", num_classes=0, depth=1, img_size=224)
    model, source = create_with_file(
        parse("timm:vit_small_patch14_dinov2"), "vit_small_patch14_dinov2", tmp_path / "w.pth", depth=1, img_size=224
    )
    assert source == "w.pth, teacher, backbone.* without 1 tensors beside it; resized: pos_embed"
    resampled = timm.layers.resample_abs_pos_embed(theirs.pos_embed, (16, 16), (37, 37), num_prefix_tokens=1)
    torch.testing.assert_close(model.pos_embed, resampled)
    assert model.pos_embed.shape == small.pos_embed.shape
    assert torch.equal(model.blocks[0].attn.qkv.weight, theirs.blocks[0].attn.qkv.weight)


def test_the_size_at_which_timm_validates():
    """resnet10t was trained at 176 pixels and is validated at 224."""
    trained = load_encoder("timm:resnet10t?init=random")
    tested = load_encoder("timm:resnet10t?init=random&test_size=true")
    assert trained.info.image_size == (176, 176) and tested.info.image_size == (224, 224)
    assert trained.info.extra["validated_at"] == "224 pixels, crop 0.95; not used: ?test_size=true"
    config = timm.data.resolve_data_config({}, model=tested.model, use_test_size=True)
    image = Image.effect_mandelbrot((50, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    assert torch.equal(tested.preprocess(image), timm.data.create_transform(**config, is_training=False)(image))
    with pytest.raises(ConfigError, match=r"as they were trained, expected no test_size"):
        load_encoder("timm:test_vit?init=random&test_size=true")


def test_naflex_keeps_the_aspect(monkeypatch):
    """Each image alone, by timm's own transform and call, and both in one batch."""
    create, small = timm.create_model, {"depth": 1, "embed_dim": 64, "num_heads": 2}
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, **options, **small))
    encoder = load_encoder("timm:naflexvit_base_patch16_gap?init=random")
    config = timm.data.resolve_data_config({}, model=encoder.model)
    transform = timm.data.create_transform(
        **config, is_training=False, naflex=True, patch_size=16, max_seq_len=576, patchify=True
    )
    images = [Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 20).convert("RGB") for size in ((90, 30), (40, 50))]
    encoder.model.reset_classifier(0)
    pixels = torch.stack([encoder.preprocess(image) for image in images])
    assert pixels[0, 0, 0, 0] < pixels[0, 0, 0, 1] and pixels[1, 0, 0, 0] > pixels[1, 0, 0, 1]
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, ["penultimate"])["penultimate"]
        alone = [encoder.model({key: value[None] for key, value in transform(image).items()}) for image in images]
        torch.testing.assert_close(ours, torch.cat(alone), rtol=1e-4, atol=1e-5)
    assert set(encoder.info.layers) == {"penultimate"}


def test_one_file_of_a_folder(tmp_path):
    default = load_encoder(save_local_dir(tmp_path / "m"))
    other = (tmp_path / "m" / "model.safetensors").rename(tmp_path / "m" / "epoch_7.safetensors")
    named = load_encoder(f"timm:local-dir:{other}")
    assert (named.info.name, named.info.preprocessing) == ("epoch_7", default.info.preprocessing)
    assert torch.equal(named.model.pos_embed, default.model.pos_embed)


def test_random_weights_are_seeded():
    prints = [load_encoder(f"timm:test_vit?init=random&seed={seed}").info.fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_a_folders_architecture_with_random_weights_is_not_the_trained_model(tmp_path):
    spec = save_local_dir(tmp_path / "model")
    trained, random = (load_encoder(spec + more) for more in ("", "?init=random&seed=3"))
    assert random.info.extra["weights"] == "random, seed 3"
    weights = [encoder.model.state_dict()["blocks.0.attn.qkv.weight"] for encoder in (trained, random)]
    assert not torch.allclose(*weights)
    with pytest.raises(ConfigError, match=r"got init=random and the weights of .*, expected one of them$"):
        load_encoder(f"timm:local-dir:{tmp_path}/model/model.safetensors?init=random")


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
    with pytest.raises(ConfigError, match=r"no weights 'r160_in2k' for test_vit, expected one of r160_in1k \(did you"):
        load_encoder("timm:test_vit.r160_in2k")
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_encoder("timm:test_vit", offline=True)
    with pytest.raises(CheckpointError, match=r"no file nowhere\.pt"):
        load_encoder("timm:test_vit?checkpoint=nowhere.pt")
    with pytest.raises(CheckpointError, match=r"no /nowhere/config\.json, expected it there"):
        load_encoder("timm:local-dir:/nowhere")
