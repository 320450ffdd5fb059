"""value_patches against MaskCLIP's own lines (mmseg/models/backbones/vit.py, TransformerEncoderLayer), written out for
each library's modules."""

import open_clip
import pytest
import torch
import torch.nn.functional as F
import transformers as T

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, CheckpointEncoder, DualEncoder
from mlcd_eval.encoders.adapters.hf.load import encoder_of
from mlcd_eval.encoders.objects import as_encoder
from mlcd_eval.encoders.spec import Spec

PIXELS = torch.randn(2, 3, 32, 24, generator=torch.Generator().manual_seed(1))
TEXT = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
TINY = {**TEXT, "image_size": 32, "patch_size": 8}


def maskclip(x, norm1, value, out, norm2, mlp):
    """x (B, N, D) as it enters the last block -> what leaves it. value, out: (weight, bias)."""
    v = F.linear(F.linear(norm1(x), *value), *out) + x
    return v + mlp(norm2(v))


def shaken(model):
    """The model with biases and norms that do something."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    return model.eval()


def checked(encoder, pixels, expected):
    layers = ["value_patches", "block_2/cls", "projected"]
    with torch.inference_mode():
        got, plain = encoder.encode_images(pixels, layers), encoder.encode_images(pixels, layers[1:])
        mixed = encoder.encode_images(pixels, ["projected_patches"])["projected_patches"]
    torch.testing.assert_close(got["value_patches"].flatten(1, 2), expected)
    assert got["value_patches"].shape[:3] == mixed.shape[:3] and not torch.allclose(got["value_patches"], mixed)
    assert all(torch.equal(got[layer], plain[layer]) for layer in plain)
    assert encoder.info.width_of("value_patches") == expected.shape[2]
    assert "value_patches" in encoder.info.layers_in_words() and encoder.info.numbers_of("value_patches") is None


@pytest.mark.parametrize("positions", ["absolute", "rope2d"])
def test_ours(positions):
    vision = {"image_size": 32, "patch_size": 8, "width": 32, "depth": 3, "heads": 2, "positions": positions}
    preprocess = {"image_size": 32, "mean": [0.5] * 3, "std": [0.5] * 3}
    torch.manual_seed(0)
    config = CheckpointConfig.model_validate({"vision": vision, "preprocess": preprocess, "embed_dim": 24})
    model = shaken(DualEncoder(config))
    pixels = PIXELS if positions == "rope2d" else torch.randn(2, 3, 32, 32)
    block, given = model.visual.blocks[-1], []
    block.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    with torch.no_grad():
        model.visual(pixels)
        weights = [(layer.weight[-32:], layer.bias[-32:]) for layer in (block.qkv, block.out)]
        x = maskclip(given[0], block.ln_1, *weights, block.ln_2, lambda y: block.mlp_out(block.act(block.mlp_in(y))))
        expected = model.visual.ln_post(x[:, 1:]) @ model.projection
    checked(CheckpointEncoder("ours", model), pixels, expected)


def test_open_clip():
    vision = {"image_size": (32, 24), "layers": 3, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 16, "vocab_size": 64, "width": 32, "heads": 2, "layers": 2}
    torch.manual_seed(0)
    model = shaken(open_clip.CLIP(24, vision, text))
    block, given = model.visual.transformer.resblocks[-1], []
    block.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    with torch.no_grad():
        model.encode_image(PIXELS)
        value = block.attn.in_proj_weight[-32:], block.attn.in_proj_bias[-32:]
        out = block.attn.out_proj.weight, block.attn.out_proj.bias
        x = maskclip(given[0], block.ln_1, value, out, block.ln_2, block.mlp)
        expected = model.visual.ln_post(x[:, 1:]) @ model.visual.proj
    checked(as_encoder(model, lambda image: PIXELS[0]), PIXELS, expected)


def test_transformers():
    torch.manual_seed(0)
    model = shaken(T.CLIPModel(T.CLIPConfig(text_config=TEXT, vision_config=TINY, projection_dim=24)))
    pixels = torch.randn(2, 3, 32, 32)
    tower = model.vision_model
    block, given = tower.encoder.layers[-1], []
    block.register_forward_pre_hook(lambda _, args: given.append(args[0]))
    with torch.no_grad():
        tower(pixels)
        attention = block.self_attn
        weights = [(layer.weight, layer.bias) for layer in (attention.v_proj, attention.out_proj)]
        x = maskclip(given[0], block.layer_norm1, *weights, block.layer_norm2, block.mlp)
        expected = model.visual_projection(tower.post_layernorm(x[:, 1:]))
    spec = Spec("x", "hf", "x", {})
    checked(encoder_of(spec, model, T.CLIPImageProcessorPil(size=32, crop_size=32)), pixels, expected)


def test_a_tower_without_a_joint_space_has_none():
    encoder = encoder_of(
        Spec("x", "hf", "x", {}),
        T.CLIPVisionModel(T.CLIPVisionConfig(**TINY)),
        T.CLIPImageProcessorPil(size=32, crop_size=32),
    )
    assert encoder.info.width_of("value_patches") is None and "value" not in encoder.info.layers_in_words()
