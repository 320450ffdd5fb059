"""This project's checkpoint folder: round trip, text tower, and what is said of a damaged one."""

import json
import pickle
import shutil

import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision import transforms

from mlcd_eval.encoders.adapters.checkpoint import (
    CheckpointConfig,
    CheckpointEncoder,
    DualEncoder,
    load_checkpoint,
    save_checkpoint,
)
from mlcd_eval.encoders.identity import identified
from mlcd_eval.encoders.kinds import CHECKPOINT, KINDS
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.towers.preprocess import CLIP_MEAN, CLIP_STD, Preprocess
from mlcd_eval.encoders.towers.text_transformer import TEXT_SIZES, TextConfig
from mlcd_eval.encoders.towers.vit import VIT_SIZES, VisionConfig, VisionTransformer
from mlcd_eval.errors import CheckpointError, IncompatibleError

TINY = VisionConfig(image_size=16, patch_size=8, width=16, depth=1, heads=2)
TEXT = TextConfig(context_length=8, width=16, depth=1, heads=2)


def model_of(**changes):
    torch.manual_seed(0)
    config = {"vision": TINY, "text": TEXT, "embed_dim": 8, "preprocess": Preprocess(image_size=16), **changes}
    return DualEncoder(CheckpointConfig(**config)).eval()


def test_a_saved_model_comes_back_bit_for_bit(tmp_path):
    model = model_of(provenance={"git_commit": "abc"})
    save_checkpoint(tmp_path / "ckpt", model)
    save_checkpoint(tmp_path / "ckpt", model)  # replaces itself
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ckpt"]
    encoder = load_encoder(str(tmp_path / "ckpt"))
    in_memory = identified(CheckpointEncoder(str(tmp_path / "ckpt"), model), KINDS[CHECKPOINT])
    assert encoder.info == in_memory.info
    assert encoder.info.extra == {"git_commit": "abc", "pooling": "token"}
    pixels = torch.randn(2, 3, 16, 16)
    layers = ["penultimate", "projected", "patches"]
    for layer, value in encoder.encode_images(pixels, layers).items():
        assert torch.equal(value, in_memory.encode_images(pixels, layers)[layer])
        assert value.shape[-1] == encoder.info.layers[layer]
    texts = ["a cat", "a dog on a very long hill that does not end"]
    assert torch.equal(encoder.encode_texts(texts), in_memory.encode_texts(texts))
    assert load_encoder(str(tmp_path / "ckpt" / "model.safetensors")).info.fingerprint == encoder.info.fingerprint


def test_an_encoder_is_frozen_and_in_eval_mode():
    encoder = CheckpointEncoder("a", model_of().train())
    assert not encoder.model.training and not any(weight.requires_grad for weight in encoder.model.parameters())


def test_a_tower_starts_at_clips_scale():
    """Class and position embeddings of about unit length, and what writes to the residual stream smaller with depth."""
    torch.manual_seed(0)
    tower = VisionTransformer(TINY.model_copy(update={"width": 1024, "depth": 2, "heads": 4, "mlp_ratio": 1.0}))
    assert tower.class_embedding.std().item() == pytest.approx(1024**-0.5, rel=0.1)
    assert tower.position_embedding.std().item() == pytest.approx(1024**-0.5, rel=0.1)
    block = tower.blocks[0]
    expected = {"qkv": 1024**-0.5, "out": (1024 * 4) ** -0.5, "mlp_in": 2048**-0.5, "mlp_out": (1024 * 4) ** -0.5}
    for name, std in expected.items():
        layer = getattr(block, name)
        assert layer.weight.std().item() == pytest.approx(std, rel=0.02) and not layer.bias.any()


def test_the_fingerprint_knows_heads_but_not_provenance():
    known = CheckpointEncoder("a", model_of()).info.fingerprint
    assert CheckpointEncoder("a", model_of(provenance={"git_commit": "abc"})).info.fingerprint == known
    heads = model_of(vision=TINY.model_copy(update={"heads": 4}))
    assert CheckpointEncoder("a", heads).info.fingerprint != known


def test_projected_is_the_pooled_feature_times_the_projection():
    model = model_of()
    outputs = model.encode_image(torch.randn(2, 3, 16, 16))
    torch.testing.assert_close(outputs["penultimate"] @ model.projection, outputs["projected"])
    assert outputs["patches"].shape == (2, 2, 2, 16)
    torch.testing.assert_close(outputs["patches"] @ model.projection, outputs["projected_patches"])


def test_an_image_tower_alone_has_no_joint_space_and_a_lit_model_no_image_head():
    alone = CheckpointEncoder("x", model_of(text=None, embed_dim=None))
    assert set(alone.info.layers) == {"penultimate", "patches"}
    with pytest.raises(IncompatibleError, match="no text tower"):
        alone.encode_texts(["a"])
    lit = CheckpointEncoder("x", model_of(embed_dim=None))
    outputs = lit.encode_images(torch.randn(1, 3, 16, 16), ["penultimate", "projected"])
    assert torch.equal(outputs["penultimate"], outputs["projected"])
    assert lit.encode_texts(["a"]).shape == (1, 16)


def test_a_text_is_read_out_at_its_end_and_does_not_see_what_follows():
    model = model_of()
    tokens = open_clip.SimpleTokenizer()(["a cat"], context_length=8)
    changed = tokens.clone()
    changed[0, int(tokens.argmax()) + 1 :] = 7  # behind the end-of-text token
    torch.testing.assert_close(model.text(tokens), model.text(changed))


@pytest.mark.parametrize("size", [(50, 40), (40, 57), (16, 16), (9, 200)])
def test_preprocessing_is_clips(size):
    image = Image.effect_mandelbrot(size, (-2, -1.5, 1, 1.5), 20).convert("RGB")
    theirs = transforms.Compose(
        [
            transforms.Resize(16, transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(16),
            transforms.ToTensor(),
            transforms.Normalize(CLIP_MEAN, CLIP_STD),
        ]
    )
    torch.testing.assert_close(Preprocess(image_size=16)(image), theirs(image), rtol=1e-5, atol=1e-5)


def test_named_sizes_are_the_papers():
    base, large = VIT_SIZES["vit_base_32_224"], VIT_SIZES["vit_large_14_224"]
    assert (base.depth, base.width, base.heads, base.grid) == (12, 768, 12, 7)
    assert (large.depth, large.width, large.heads, large.grid) == (24, 1024, 16, 16)
    for name, size in VIT_SIZES.items():
        assert (size.patch_size, size.image_size) == tuple(map(int, name.split("_")[-2:]))
    assert [(TEXT_SIZES[name].depth, TEXT_SIZES[name].width) for name in ("text_base", "text_large")] == [
        (12, 512),
        (12, 768),
    ]


def test_damage_is_one_sentence(tmp_path):
    def damaged(change):
        shutil.rmtree(tmp_path / "ckpt", ignore_errors=True)
        save_checkpoint(tmp_path / "ckpt", model_of())
        change(tmp_path / "ckpt")
        with pytest.raises(CheckpointError) as caught:
            load_encoder(str(tmp_path / "ckpt"))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def reconfigure(**changes):
        def change(folder):
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, **changes}))

        return change

    def add_tensor(folder):
        state = load_file(folder / "model.safetensors")
        save_file({**state, "zzz": torch.zeros(1)}, folder / "model.safetensors")

    assert "expected a checkpoint folder with config.json" in damaged(lambda folder: (folder / "config.json").unlink())
    assert "has no model.safetensors" in damaged(lambda folder: (folder / "model.safetensors").unlink())
    assert "not a safetensors file" in damaged(lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 99))
    assert "format_version 9, expected 1" in damaged(reconfigure(format_version=9))
    assert "zzz: got (1,), config.json says no such tensor" in damaged(add_tensor)
    assert "projection: got (16, 8), config.json says (16, 9)" in damaged(reconfigure(embed_dim=9))
    assert "Extra inputs are not permitted" in damaged(reconfigure(visoin={}))
    for size in (1, 0, -16, 24):
        told = damaged(reconfigure(preprocess={"image_size": size}))
        assert f"preprocess.image_size is {size}, expected vision.image_size = 16" in told or "at most" in told
    assert "not a config of mlcd-train" in damaged(
        lambda folder: (folder / "config.json").write_text('{"model_type": "clip"}')
    )


def test_a_pickle_is_never_read(tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    save_checkpoint(tmp_path / "ckpt", model_of())
    for name in ("model.safetensors", "model.pt"):
        (tmp_path / "ckpt" / name).write_bytes(pickle.dumps(Payload()))
        with pytest.raises(CheckpointError):
            load_encoder(str(tmp_path / "ckpt" / name))
    assert not (tmp_path / "ran").exists()


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    save_checkpoint(tmp_path / "ckpt", model_of())
    before = (tmp_path / "ckpt" / "model.safetensors").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("mlcd_eval.encoders.weights.save_file", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(tmp_path / "ckpt", model_of(embed_dim=4))
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt"]
    assert (tmp_path / "ckpt" / "model.safetensors").read_bytes() == before
    assert load_checkpoint(tmp_path / "ckpt").config.embed_dim == 8
