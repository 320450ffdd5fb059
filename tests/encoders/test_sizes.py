"""Towers at another size than their own: positions against the libraries' own interpolation."""

import json
import math
from functools import partial

import numpy as np
import open_clip
import pytest
import timm
import torch
import transformers as T
from open_clip_models import VISION, VIT, local_dir
from PIL import Image
from timm.layers import resample_abs_pos_embed
from torchvision import transforms

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, CheckpointEncoder, DualEncoder
from mlcd_eval.encoders.base import PATCHES, PROJECTED_PATCHES
from mlcd_eval.encoders.layers import VALUE_PATCHES
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.sizes import Sizes, rescaled
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.encoders.towers.vit import resized_positions
from mlcd_eval.errors import IncompatibleError

SLOW = partial(pytest.param, marks=pytest.mark.slow)
QUICK = ("CLIPVisionModel", "Dinov2Model", "MLCDVisionModel")
EXACT = {"rtol": 1e-5, "atol": 1e-5}
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32, "patch_size": 8}


def own(positions="absolute"):
    vision = {"image_size": 32, "patch_size": 8, "width": 16, "depth": 2, "heads": 2, "positions": positions}
    config = {"vision": vision, "preprocess": {"image_size": 32}, "embed_dim": 8}
    torch.manual_seed(0)
    return CheckpointEncoder("", DualEncoder(CheckpointConfig.model_validate(config)))


def patches(encoder, size, layer=PATCHES):
    pixels = torch.rand(
        2, 3, *((size, size) if isinstance(size, int) else size), generator=torch.Generator().manual_seed(1)
    )
    with torch.inference_mode():
        return encoder.encode_images(pixels, [layer])[layer]


def unchanged(encoder, side, resized):
    """Whether an encoder still gives what it gave before another one was made from it."""
    before = patches(encoder, encoder.info.image_size[0])
    other = encoder.resized((resized, resized))
    assert other is not encoder and patches(other, resized).shape[1:3] == encoder.info.sizes.grid((resized, resized))
    return torch.equal(patches(encoder, side), before)


@pytest.mark.parametrize("after", [(3, 3), (4, 4), (7, 7), (16, 16), (3, 9), (4, 2)])
def test_positions_are_timms(after):
    positions = torch.randn(1 + 16, 24, generator=torch.Generator().manual_seed(0))
    expected = resample_abs_pos_embed(positions[None], list(after), [4, 4], num_prefix_tokens=1)[0]
    torch.testing.assert_close(resized_positions(positions, after), expected, **EXACT)


def test_the_own_tower_with_resampled_positions():
    encoder = own()
    assert encoder.info.sizes == Sizes(8, "interpolated") and unchanged(encoder, 32, 56)
    other, tower = encoder.resized((56, 56)), encoder.model.visual
    with torch.no_grad():
        tower.position_embedding = torch.nn.Parameter(
            resample_abs_pos_embed(tower.position_embedding[None], [7, 7], [4, 4], num_prefix_tokens=1)[0]
        )
    torch.testing.assert_close(patches(other, 56), patches(encoder, 56), **EXACT)
    torch.testing.assert_close(patches(other, 56, VALUE_PATCHES), patches(encoder, 56, VALUE_PATCHES), **EXACT)


@pytest.mark.parametrize("size", [(48, 48), (24, 80)])
def test_rotary_positions_are_computed(size):
    encoder = own("rope2d")
    other = encoder.resized(size)
    assert encoder.info.sizes.positions == "native" and torch.equal(patches(other, size), patches(encoder, size))


OBLONG = (40, 72)


def test_an_oblong_grid_of_the_own_tower():
    encoder = own()
    other, tower = encoder.resized(OBLONG), encoder.model.visual
    assert other.info.image_size == OBLONG and patches(other, OBLONG).shape[1:3] == (5, 9)
    positions = resample_abs_pos_embed(tower.position_embedding[None], [5, 9], [4, 4], num_prefix_tokens=1)[0]
    with torch.no_grad():
        tower.position_embedding = torch.nn.Parameter(positions)
    torch.testing.assert_close(patches(other, OBLONG), patches(encoder, OBLONG), **EXACT)
    assert other.preprocess(Image.new("RGB", (9, 5))).shape == (3, 72, 72)


@pytest.mark.parametrize("size", [(96, 176), (192, 80)])
def test_an_oblong_grid_of_timm(size, tmp_path):
    """As timm interpolates positions while it computes (`dynamic_img_size`)."""
    torch.manual_seed(0)
    torch.save(timm.create_model("test_vit").state_dict(), tmp_path / "weights.pt")
    other = load_encoder(f"timm:test_vit?checkpoint={tmp_path / 'weights.pt'}").resized(size)
    theirs = timm.create_model("test_vit", dynamic_img_size=True).eval()
    theirs.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    pixels = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = theirs.forward_features(pixels)[:, theirs.num_prefix_tokens :]
    found = patches(other, size)
    assert found.shape[1:3] == (size[0] // 16, size[1] // 16)
    torch.testing.assert_close(found.flatten(1, 2), expected, **EXACT)


def test_weights_are_shared_and_identity_is_not():
    encoder = own()
    other = encoder.resized((48, 48))
    block, others = encoder.model.visual.blocks[0].out.weight, other.model.visual.blocks[0].out.weight
    assert others is block and other.model is not encoder.model
    assert other.info.image_size == (48, 48) and "48" in other.info.preprocessing
    infos = [encoder.info, other.info, encoder.resized((56, 56)).info]
    assert len({info.fingerprint for info in infos}) == len({info.preprocessing for info in infos}) == 3
    assert other.info.fingerprint == encoder.resized((48, 48)).info.fingerprint and encoder.resized((32, 32)) is encoder


@pytest.mark.parametrize("name", ["test_vit", SLOW("test_convnext")])
def test_timm_gives_what_a_model_built_for_that_size_gives(name, tmp_path):
    torch.manual_seed(0)
    torch.save(timm.create_model(name, pretrained=False).state_dict(), tmp_path / "weights.pt")
    spec = f"timm:{name}?checkpoint={tmp_path / 'weights.pt'}"
    encoder, built = load_encoder(spec), load_encoder(f"{spec}&img_size=192")
    assert unchanged(encoder, 160, 192)
    torch.testing.assert_close(patches(encoder.resized((192, 192)), 192), patches(built, 192), **EXACT)
    assert encoder.resized((192, 192)).info.preprocessing == built.info.preprocessing


def test_windows_of_a_swin_grow_with_its_grid(monkeypatch):
    """As timm resizes one."""
    create, small = timm.create_model, {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2)}
    monkeypatch.setattr(timm, "create_model", lambda name, **options: create(name, **options, **small))
    encoder = load_encoder("timm:swin_tiny_patch4_window7_224?init=random&img_size=56")
    assert encoder.info.sizes == Sizes(8, "interpolated") and unchanged(encoder, 56, 112)
    other = encoder.resized((112, 112))
    encoder.model.set_input_size(img_size=(112, 112))
    assert torch.equal(patches(other, 112), patches(encoder, 112))


def test_timm_says_what_is_fixed():
    assert load_encoder("timm:test_resnet?init=random").info.sizes.positions == "native"
    assert load_encoder("timm:gmixer_12_224?init=random").info.sizes is None


def test_torchvisions_networks_take_any_size():
    encoder = load_encoder("torchvision:mobilenet_v3_small?init=random&like=IMAGENET1K_V1")
    assert encoder.info.sizes == Sizes(32, "native") and unchanged(encoder, 224, 96)
    assert torch.equal(patches(encoder.resized((96, 96)), 96), patches(encoder, 96))
    image = Image.fromarray(np.random.default_rng(0).integers(256, size=(70, 90, 3), dtype=np.uint8))
    preset = transforms._presets.ImageClassification(crop_size=96, resize_size=110)
    assert torch.equal(encoder.resized((96, 96)).preprocess(image), preset(image))


@pytest.mark.slow
def test_torchvisions_vits_take_one_size():
    assert load_encoder("torchvision:vit_b_32?init=random&like=IMAGENET1K_V1").info.sizes is None


def test_open_clip_gives_what_force_image_size_gives(tmp_path):
    spec = local_dir(tmp_path / "small", VIT)
    encoder = load_encoder(spec)
    assert encoder.info.sizes == Sizes(8, "interpolated") and unchanged(encoder, 32, 56)
    built, _, transform = open_clip.create_model_and_transforms(spec.removeprefix("open_clip:"), force_image_size=56)
    built.eval().visual.output_tokens = True
    other = encoder.resized((56, 56))
    pixels = torch.rand(2, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = built.visual(pixels)[1].unflatten(1, (7, 7))
    torch.testing.assert_close(patches(other, 56), expected, **EXACT)
    torch.testing.assert_close(patches(other, 56, PROJECTED_PATCHES), expected @ built.visual.proj, **EXACT)
    image = Image.fromarray(np.random.default_rng(0).integers(256, size=(70, 90, 3), dtype=np.uint8))
    assert torch.equal(other.preprocess(image), transform(image))
    built = open_clip.create_model(spec.removeprefix("open_clip:"), force_image_size=OBLONG)
    built.eval().visual.output_tokens = True
    pixels = torch.rand(2, 3, *OBLONG, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        expected = built.visual(pixels)[1].unflatten(1, (5, 9))
    torch.testing.assert_close(patches(encoder.resized(OBLONG), OBLONG), expected, **EXACT)


@pytest.mark.parametrize("vision", ["resnet", SLOW("timm_linear")])
def test_open_clips_other_towers_take_one_size(vision, tmp_path):
    encoder = load_encoder(local_dir(tmp_path / "small", VISION[vision]))
    with pytest.raises(IncompatibleError, match=r"takes images of \d+ x \d+ pixels only: got 64 x 64"):
        encoder.resized((64, 64))


HF = {
    "CLIPVisionModel": (T.CLIPVisionConfig, {"intermediate_size": 64}, "interpolated"),
    "ViTModel": (T.ViTConfig, {}, "interpolated"),
    "Dinov2Model": (T.Dinov2Config, {}, "interpolated"),
    "DINOv3ViTModel": (T.DINOv3ViTConfig, {"intermediate_size": 64, "num_register_tokens": 2}, "native"),
    "MLCDVisionModel": (T.MLCDVisionConfig, {"intermediate_size": 64}, "native"),
}


@pytest.mark.parametrize("kind", [kind if kind in QUICK else SLOW(kind) for kind in HF])
def test_transformers_interpolates(kind, tmp_path):
    config, more, positions = HF[kind]
    torch.manual_seed(0)
    model = getattr(T, kind)(config(**SHAPE, **more)).eval()
    model.save_pretrained(tmp_path)
    size = {"height": 32, "width": 32}
    processor = {"image_processor_type": "ViTImageProcessor", "size": size, "image_mean": [0.5] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({**processor, "image_std": [0.5] * 3}))
    encoder = load_encoder(f"hf:{tmp_path}", offline=True)
    assert encoder.info.sizes == Sizes(8, positions) and unchanged(encoder, 32, 56)
    other, built = encoder.resized((56, 56)), load_encoder(f"hf:{tmp_path}?image_size=56", offline=True)
    torch.testing.assert_close(patches(other, 56), patches(built, 56), **EXACT)
    assert other.info.preprocessing == built.info.preprocessing
    pixels = torch.rand(2, 3, 56, 56, generator=torch.Generator().manual_seed(1))
    if kind == "CLIPVisionModel":
        with torch.no_grad():
            hidden = model(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state[:, 1:]
        torch.testing.assert_close(patches(other, 56), model.post_layernorm(hidden).unflatten(1, (7, 7)), **EXACT)
        pixels = torch.rand(2, 3, *OBLONG, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            hidden = model(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state[:, 1:]
        expected = model.post_layernorm(hidden).unflatten(1, (5, 9))
        torch.testing.assert_close(patches(encoder.resized(OBLONG), OBLONG), expected, **EXACT)


@pytest.mark.parametrize("side", [24, 40, 96])
def test_a_rescaled_transform_shows_the_same_part(side):
    preprocess = transforms.Compose(
        [transforms.Resize(36), transforms.CenterCrop(32), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
    )
    ramp = np.tile((np.arange(320) * 255 / 319).astype(np.uint8)[:, None], (320, 1, 3)).reshape(320, 320, 3)
    image = Image.fromarray(ramp.transpose(1, 0, 2))
    small, large = (each(image)[0].mean(0) for each in (preprocess, rescaled(preprocess, side, 32)))
    assert len(large) == side
    middles = [(np.arange(count) + 0.5) / count for count in (len(small), side)]
    inner = (middles[1] > 0.1) & (middles[1] < 0.9)
    assert (
        np.abs(np.interp(middles[1], middles[0], small) - large.numpy())[inner].max() < 1 / side
    )  # crops are of whole pixels


def test_a_transform_of_no_known_type_is_not_rescaled():
    assert rescaled(lambda image: image, 64, 32) is None
    assert rescaled(transforms.Compose([transforms.RandomCrop(32)]), 64, 32) is None
    assert rescaled(Preprocess(image_size=32), 64, 32).image_size == 64
    assert not math.isnan(rescaled(Preprocess(image_size=32), 64, 32)(Image.new("RGB", (5, 9))).sum())
