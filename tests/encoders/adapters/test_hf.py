"""transformers models from local folders, against transformers' own calls; our ViT against theirs, weight by weight."""

import json

import pytest
import torch
import transformers as T
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from mlcd_eval.encoders.adapters.hf.texts import tokenizer_of
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.towers.vit import VisionConfig, VisionTransformer
from mlcd_eval.errors import CheckpointError, IncompatibleError

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**SHAPE, "image_size": 32, "patch_size": 8}
TEXT = {
    **SHAPE,
    "vocab_size": 12,
    "max_position_embeddings": 9,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
CLIP = T.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=16)
SIGLIP = T.SiglipConfig(text_config={**TEXT, "projection_size": 32}, vision_config=VISION)
MODELS = {
    "CLIPModel": lambda: T.CLIPModel(CLIP),
    "CLIPVisionModelWithProjection": lambda: T.CLIPVisionModelWithProjection(CLIP.vision_config),
    "CLIPVisionModel": lambda: T.CLIPVisionModel(CLIP.vision_config),
    "SiglipModel": lambda: T.SiglipModel(SIGLIP),
    "Dinov2Model": lambda: T.Dinov2Model(
        T.Dinov2Config(**{k: v for k, v in VISION.items() if k != "intermediate_size"})
    ),
    "Dinov2WithRegistersModel": lambda: T.Dinov2WithRegistersModel(
        T.Dinov2WithRegistersConfig(
            **{k: v for k, v in VISION.items() if k != "intermediate_size"}, num_register_tokens=4
        )
    ),
    "MLCDVisionModel": lambda: T.MLCDVisionModel(T.MLCDVisionConfig(**VISION)),
}
PROCESSOR = {
    "image_processor_type": "CLIPImageProcessor",
    "size": {"shortest_edge": 32},
    "crop_size": {"height": 32, "width": 32},
    "image_mean": [0.5, 0.4, 0.3],
    "image_std": [0.2, 0.3, 0.4],
}


def save(folder, kind):
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    model.save_pretrained(folder)
    processor = PROCESSOR
    if kind.startswith("Siglip"):
        processor = {
            "image_processor_type": "SiglipImageProcessor",
            "size": {"height": 32, "width": 32},
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
        }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    if kind in ("CLIPModel", "SiglipModel"):
        words = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "a": 4, "cat": 5, "dog": 6}
        tokenizer = Tokenizer(WordLevel(words, unk_token="<unk>"))
        tokenizer.pre_tokenizer = Whitespace()
        fast = T.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        )
        fast.save_pretrained(folder)
    return model


def pooled(output):
    return output if isinstance(output, torch.Tensor) else output.pooler_output


@pytest.mark.parametrize("kind", MODELS)
def test_layers_agree_with_transformers(tmp_path, kind):
    model = save(tmp_path, kind)
    encoder = load_encoder(f"hf:{tmp_path}", offline=True)
    pixels = torch.randn(3, 3, 32, 32)
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, list(encoder.info.layers))
        tower = getattr(model, "vision_model", model)
        theirs = tower(pixel_values=pixels)
        torch.testing.assert_close(ours["penultimate"], theirs.pooler_output)
        assert ours["patches"].shape == (3, 4, 4, 32)
        last_patch = theirs.last_hidden_state[:, -1]
        if kind.startswith(("CLIP", "MLCD")):  # their last hidden state lacks the final norm
            last_patch = tower.post_layernorm(last_patch)
        torch.testing.assert_close(ours["patches"][:, 3, 3], last_patch)
        if kind in ("CLIPModel", "CLIPVisionModelWithProjection"):
            torch.testing.assert_close(ours["projected_patches"], model.visual_projection(ours["patches"]))
        if kind in ("CLIPModel", "SiglipModel"):
            torch.testing.assert_close(ours["projected"], pooled(model.get_image_features(pixel_values=pixels)))
        elif kind == "CLIPVisionModelWithProjection":
            torch.testing.assert_close(ours["projected"], model(pixel_values=pixels).image_embeds)
        else:
            assert "projected" not in ours
    assert encoder.info.has_text == (kind in ("CLIPModel", "SiglipModel"))


def test_preprocessing_is_the_processors(tmp_path):
    save(tmp_path, "CLIPVisionModel")
    encoder = load_encoder(f"hf:{tmp_path}")
    image = Image.effect_mandelbrot((50, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    slow = T.CLIPImageProcessorPil(**{k: v for k, v in PROCESSOR.items() if k != "image_processor_type"})
    torch.testing.assert_close(encoder.preprocess(image), slow(image, return_tensors="pt")["pixel_values"][0])
    assert '"shortest_edge": 32' in encoder.info.preprocessing or "shortest_edge" in encoder.info.preprocessing


def test_siglip_pads_to_its_full_length_and_squashes_images(tmp_path):
    model = save(tmp_path, "SiglipModel")
    encoder = load_encoder(f"hf:{tmp_path}")
    ids = torch.tensor([[4, 5, 0, 0, 0, 0, 0, 0, 0], [6, 0, 0, 0, 0, 0, 0, 0, 0]])
    with torch.inference_mode():
        torch.testing.assert_close(
            encoder.encode_texts(["a cat", "dog"]), pooled(model.get_text_features(input_ids=ids))
        )
        alone = encoder.encode_texts(["dog"])
        torch.testing.assert_close(alone[0], encoder.encode_texts(["a cat", "dog"])[1])
    half = Image.new("RGB", (64, 32))
    half.paste((255, 255, 255), (32, 0, 64, 32))
    pixels = encoder.preprocess(half)
    assert pixels.shape == (3, 32, 32)
    assert (pixels[:, :, 4] == -1).all()  # the left and right margins are still there: no crop
    assert (pixels[:, :, -4] == 1).all()


def test_clip_texts_do_not_depend_on_their_batch(tmp_path):
    model = save(tmp_path, "CLIPModel")
    encoder = load_encoder(f"hf:{tmp_path}")
    with torch.inference_mode():
        batch = encoder.encode_texts(["a cat </s>", "dog </s>"])
        torch.testing.assert_close(batch[1], encoder.encode_texts(["dog </s>"])[0])
        theirs = pooled(model.get_text_features(input_ids=torch.tensor([[6, 2]])))
    torch.testing.assert_close(batch[1], theirs[0])


def test_a_vision_model_has_no_text_tower(tmp_path):
    save(tmp_path, "MLCDVisionModel")
    with pytest.raises(IncompatibleError, match="has no text tower"):
        load_encoder(f"hf:{tmp_path}").encode_texts(["a"])


@pytest.mark.parametrize("kind", ["CLIPModel", "SiglipModel"])
def test_without_tokenizer_files_images_can_be_encoded(tmp_path, kind):
    save(tmp_path, kind)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be loaded"):  # files that are there must be right
        load_encoder(f"hf:{tmp_path}", offline=True)
    for file in tmp_path.glob("tokenizer*"):
        file.unlink()
    encoder = load_encoder(f"hf:{tmp_path}", offline=True)
    assert encoder.encode_images(torch.zeros(1, 3, 32, 32), ["projected"])["projected"].shape[0] == 1
    assert not encoder.info.has_text
    with pytest.raises(IncompatibleError, match=r"has no tokenizer files in its folder \(.*: got texts"):
        encoder.encode_texts(["a"])


def test_a_repository_without_tokenizer(monkeypatch):
    def missing(*_, **__):
        raise OSError("Can't load\ntokenizer")

    monkeypatch.setattr(T.AutoTokenizer, "from_pretrained", missing)
    assert tokenizer_of("org/name", {}) == "has no tokenizer that can be loaded (Can't load tokenizer)"


def test_mistakes_are_one_sentence(tmp_path):
    save(tmp_path, "CLIPVisionModel")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "architectures": ["BertModel"]}))
    with pytest.raises(IncompatibleError, match="got architecture BertModel, expected one of CLIPModel"):
        load_encoder(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(CheckpointError, match=r"another architecture: 16 tensors of CLIPVisionModel are missing"):
        load_encoder(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_size": 48, "num_attention_heads": 3}))
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_encoder(f"hf:{tmp_path}")
    (tmp_path / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"no config\.json in .*, expected that of a transformers model"):
        load_encoder(f"hf:{tmp_path}")


def copy_block(ours, theirs):
    attention = theirs.self_attn
    for part in ("weight", "bias"):
        stacked = torch.cat([getattr(getattr(attention, f"{name}_proj"), part) for name in "qkv"])
        getattr(ours.qkv, part).copy_(stacked)
        for mine, other in (
            (ours.out, attention.out_proj),
            (ours.ln_1, theirs.layer_norm1),
            (ours.ln_2, theirs.layer_norm2),
            (ours.mlp_in, theirs.mlp.fc1),
            (ours.mlp_out, theirs.mlp.fc2),
        ):
            getattr(mine, part).copy_(getattr(other, part))


@pytest.mark.parametrize("kind", ["CLIPVisionModel", "MLCDVisionModel"])
def test_our_vit_computes_what_transformers_does(kind):
    torch.manual_seed(1)
    model = MODELS[kind]().eval()
    theirs = getattr(model, "vision_model", model)
    absolute = kind == "CLIPVisionModel"
    config = VisionConfig(
        image_size=32,
        patch_size=8,
        width=32,
        depth=2,
        heads=2,
        mlp_ratio=2.0,
        activation="quick_gelu" if absolute else "gelu",
        positions="absolute" if absolute else "rope2d",
    )
    ours = VisionTransformer(config)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(std=0.3)
        ours.patch_embedding.weight.copy_(theirs.embeddings.patch_embedding.weight)
        ours.class_embedding.copy_(theirs.embeddings.class_embedding)
        if absolute:
            ours.position_embedding.copy_(theirs.embeddings.position_embedding.weight)
        else:
            ours.class_angles.copy_(theirs.class_pos_emb)
        for mine, other in ((ours.ln_pre, theirs.pre_layrnorm), (ours.ln_post, theirs.post_layernorm)):
            mine.load_state_dict(other.state_dict())
        for mine, other in zip(ours.blocks, theirs.encoder.layers, strict=True):
            copy_block(mine, other)
        pixels = torch.randn(2, 3, 32, 32 if absolute else 48)
        output = theirs(pixel_values=pixels)
        pooled_feature, patches = ours(pixels)
        torch.testing.assert_close(pooled_feature, output.pooler_output, rtol=1e-4, atol=1e-5)
        expected = theirs.post_layernorm(output.last_hidden_state[:, 1:])
        torch.testing.assert_close(patches.flatten(1, 2), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", lambda config: config["text_config"].update(eos_token_id=1)),
        ("config.json", lambda config: config["vision_config"].update(hidden_act="gelu")),
        ("config.json", lambda config: config["vision_config"].update(num_attention_heads=4)),
        ("tokenizer.json", lambda tokenizer: tokenizer["model"]["vocab"].update(cat=6, dog=5)),
        ("tokenizer_config.json", lambda config: config.update(padding_side="left")),
    ],
    ids=["eos", "activation", "heads", "tokenizer", "padding"],
)
def test_the_fingerprint_knows_what_no_tensor_shows(tmp_path, file, change):
    """Features are kept under it: equal weights in another architecture must not get these."""
    for name in "ab":
        (tmp_path / name).mkdir()
        save(tmp_path / name, "CLIPModel")
    prints = [load_encoder(f"hf:{tmp_path / name}").info.fingerprint for name in "ab"]
    assert prints[0] == prints[1]
    path = tmp_path / "b" / file
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    assert load_encoder(f"hf:{tmp_path / 'b'}").info.fingerprint != prints[0]
