"""Layers inside towers against timm's and open_clip's forward_intermediates, transformers'
hidden states, and our ViT's blocks called one by one."""

import json
import threading

import open_clip
import pytest
import timm
import torch
import transformers as T
from safetensors.torch import save_file

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, CheckpointEncoder, DualEncoder
from mlcd_eval.encoders.adapters.hf.load import encoder_of
from mlcd_eval.encoders.layers import BlockInfo, is_inside
from mlcd_eval.encoders.registry import load_encoder

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
VIT = {**SHAPE, "image_size": 32, "patch_size": 8}
DINO = {key: value for key, value in VIT.items() if key != "intermediate_size"}


def checked(encoder, pixels, states, normed, prefix, has_class=True):
    """Every layer of an encoder against states and normed states: a list per block of all its tokens (B, N, D)."""
    info, depth = encoder.info.blocks, len(states)
    assert (info.depth, info.width) == (depth, states[0].shape[2])
    assert info.poolings == (("cls", "mean") if has_class else ("mean",))
    means, normed_means = ([tokens[:, prefix:].mean(1) for tokens in every] for every in (states, normed))
    expected = {"block_2/mean": means[1], "last_2/mean": torch.cat(normed_means[-2:], dim=1)}
    each = [means]
    if has_class:
        expected["block_1/cls"] = states[0][:, 0]
        expected["block_2/cls+mean"] = torch.cat([states[1][:, 0], means[1]], dim=1)
        expected["last_2/cls+mean"] = torch.cat([normed[-2][:, 0], normed[-1][:, 0], normed_means[-1]], dim=1)
        each = [[tokens[:, 0] for tokens in states], means]
    expected["blocks"] = torch.stack([torch.stack(way, dim=1) for way in each], dim=2)
    with torch.inference_mode():
        got = encoder.encode_images(pixels, ["penultimate", *expected])
        alone = encoder.encode_images(pixels, ["penultimate"])
    assert torch.equal(got["penultimate"], alone["penultimate"])
    for layer, value in expected.items():
        torch.testing.assert_close(got[layer], value, msg=layer)
        assert encoder.info.width_of(layer) == value.shape[-1] and is_inside(layer)


@pytest.fixture
def ours():
    vision = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 3, "heads": 2}
    preprocess = {"image_size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    torch.manual_seed(0)
    model = DualEncoder(CheckpointConfig.model_validate({"vision": vision, "preprocess": preprocess}))
    return CheckpointEncoder("ours", model)


def test_ours(ours):
    pixels, visual = torch.randn(2, 3, 32, 32), ours.model.visual
    with torch.no_grad():
        x = visual.patch_embedding(pixels).flatten(2).mT
        x = torch.cat([visual.class_embedding.expand(2, 1, -1), x], dim=1) + visual.position_embedding
        states, x = [], visual.ln_pre(x)
        for block in visual.blocks:
            states.append(x := block(x))
        checked(ours, pixels, states, [visual.ln_post(state) for state in states], prefix=1)


@pytest.mark.parametrize(
    ("name", "options", "has_class"),
    [
        ("test_vit", {}, True),
        ("vit_tiny_patch16_224", {"depth": 3, "reg_tokens": 4}, True),
        ("vit_tiny_patch16_224", {"depth": 3, "class_token": False, "global_pool": "avg"}, False),
        ("eva02_tiny_patch14_224", {"depth": 3}, True),
    ],
)
def test_timm(name, options, has_class, monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, **given: create(name, **{**given, **options}))
    encoder = load_encoder(f"timm:{name}?init=random&img_size=112")
    pixels = torch.randn(2, 3, 112, 112)

    def theirs(norm):
        options = {"norm": norm, "output_fmt": "NLC", "intermediates_only": True}
        if not encoder.model.num_prefix_tokens:
            return encoder.model.forward_intermediates(pixels, **options)
        parts = encoder.model.forward_intermediates(pixels, return_prefix_tokens=True, **options)
        return [torch.cat([prefix, patches], dim=1) for patches, prefix in parts]

    with torch.no_grad():
        states, normed = theirs(False), theirs(True)
    checked(encoder, pixels, states, normed, encoder.model.num_prefix_tokens, has_class)


def test_the_last_blocks_are_those_of_dinov2s_linear_evaluation():
    """create_linear_input of dinov2/eval/linear.py with 4 blocks and average pooling."""
    encoder = load_encoder("timm:test_vit?init=random")
    pixels = torch.randn(2, 3, *encoder.info.image_size)
    with torch.no_grad():
        blocks = encoder.model.get_intermediate_layers(pixels, n=4, return_prefix_tokens=True, norm=True)
        output = torch.cat([prefix[:, 0] for _, prefix in blocks], dim=-1)
        output = torch.cat((output, torch.mean(blocks[-1][0], dim=1)), dim=-1)
        got = encoder.encode_images(pixels, ["last_4/cls+mean"])["last_4/cls+mean"]
    torch.testing.assert_close(got, output)


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "resnet10t"])
def test_towers_of_several_stages_have_no_blocks(name):
    assert load_encoder(f"timm:{name}?init=random").info.blocks == BlockInfo()


def test_open_clip(tmp_path):
    vision = {"image_size": 32, "layers": 3, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    config = {"embed_dim": 24, "vision_cfg": vision, "text_cfg": text}
    preprocess = {"mean": [0.5] * 3, "std": [0.25] * 3}
    written = {"model_cfg": config, "preprocess_cfg": preprocess}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(written))
    torch.manual_seed(0)
    theirs = open_clip.CLIP(**config).eval()
    save_file({k: v.contiguous() for k, v in theirs.state_dict().items()}, tmp_path / "open_clip_model.safetensors")
    encoder, pixels = load_encoder(f"open_clip:local-dir:{tmp_path}"), torch.randn(2, 3, 32, 32)

    def tokens(norm):
        output = theirs.visual.forward_intermediates(
            pixels, normalize_intermediates=norm, intermediates_only=True, output_fmt="NLC", output_extra_tokens=True
        )
        pairs = zip(output["image_intermediates_prefix"], output["image_intermediates"], strict=True)
        return [torch.cat(pair, dim=1) for pair in pairs]

    with torch.no_grad():
        states, normed = tokens(False), tokens(True)
    checked(encoder, pixels, states, normed, prefix=1)


HF = {
    "dinov2": (lambda: T.Dinov2Model(T.Dinov2Config(**DINO)), lambda m: m.layernorm, 1, True),
    "vit": (lambda: T.ViTModel(T.ViTConfig(**VIT)), lambda m: m.layernorm, 1, True),
    "clip": (lambda: T.CLIPVisionModel(T.CLIPVisionConfig(**VIT)), lambda m: m.vision_model.post_layernorm, 1, True),
    "siglip": (
        lambda: T.SiglipVisionModel(T.SiglipVisionConfig(**VIT)), lambda m: m.vision_model.post_layernorm, 0, False
    ),
    "dinov3": (lambda: T.DINOv3ViTModel(T.DINOv3ViTConfig(**VIT, num_register_tokens=2)), lambda m: m.norm, 3, True),
}  # fmt: skip


@pytest.mark.parametrize("name", HF)
def test_transformers(name):
    make, norm_of, prefix, has_class = HF[name]
    torch.manual_seed(0)
    model = make().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    encoder = encoder_of(parsed_spec(), model, T.ViTImageProcessorPil(size={"height": 32, "width": 32}))
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        norm = norm_of(model if hasattr(model, "vision_model") or name not in ("clip", "siglip") else Inside(model))
        states = list(model(pixel_values=pixels, output_hidden_states=True).hidden_states[1:])
        checked(encoder, pixels, states, [norm(state) for state in states], prefix, has_class)


class Inside:
    """A tower that newer versions of transformers do not wrap any more."""

    def __init__(self, model):
        self.vision_model = model


def parsed_spec():
    from mlcd_eval.encoders.spec import Spec

    return Spec("object:x", "object", "x", {})


def test_each_thread_gets_its_own_images(ours):
    """The adapters say that threads may call them at once, and hooks belong to the model that they share."""
    pixels = [torch.randn(4, 3, 32, 32) for _ in range(8)]
    with torch.inference_mode():
        alone = [ours.encode_images(batch, ["block_2/mean"])["block_2/mean"] for batch in pixels]
    together = [None] * len(pixels)

    def encode(place):
        with torch.inference_mode():
            for _ in range(5):
                together[place] = ours.encode_images(pixels[place], ["block_2/mean"])["block_2/mean"]

    threads = [threading.Thread(target=encode, args=(place,)) for place in range(len(pixels))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for own, shared in zip(alone, together, strict=True):
        torch.testing.assert_close(shared, own)
    assert not any(block._forward_hooks for block in ours.model.visual.blocks)


def test_a_mask_leaves_padding_out_of_the_mean():
    config = T.Siglip2VisionConfig(**SHAPE, patch_size=4, num_patches=16)
    torch.manual_seed(0)
    model = T.Siglip2VisionModel(config).eval()
    processor = T.Siglip2ImageProcessorPil(patch_size=4, max_num_patches=16)
    encoder = encoder_of(parsed_spec(), model, processor)
    from PIL import Image

    image = Image.linear_gradient("L").convert("RGB").resize((40, 16))
    with torch.inference_mode():
        got = encoder.encode_images(encoder.preprocess(image)[None], ["block_2/mean"])["block_2/mean"]
        inputs = processor(images=image, return_tensors="pt")
        valid = inputs["pixel_attention_mask"][0].bool()
        state = model(**inputs, output_hidden_states=True).hidden_states[2][0, valid]
    assert 0 < valid.sum() < 16
    torch.testing.assert_close(got[0], state.mean(0))


@pytest.mark.parametrize(
    ("layer", "width"),
    [
        ("block_3/cls", 8),
        ("block_3/cls+mean", 16),
        ("last_3/cls", 24),
        ("last_3/cls+mean", 32),
        ("blocks", 8),
        ("block_4/cls", None),
        ("block_0/cls", None),
        ("last_4/mean", None),
        ("block_3", None),
        ("block_3/max", None),
        ("block_3/mean+cls", None),
        ("penultimate", None),
    ],
)
def test_widths_of_names(layer, width):
    assert BlockInfo(3, 8, ("cls", "mean")).width_of(layer) == width


def test_a_tower_without_a_class_token_has_means_only():
    info = BlockInfo(3, 8, ("mean",))
    assert info.width_of("block_1/cls") is None and info.width_of("last_2/mean") == 16
    assert info.in_words() == "blocks, block_1 to block_3 and last_1 to last_3 with /mean"
    assert BlockInfo().in_words() == "" and BlockInfo().width_of("blocks") is None
