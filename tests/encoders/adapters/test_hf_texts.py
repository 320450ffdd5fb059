"""Texts through `hf:`: what the tokenizer does is seen at load and completed to what the family was trained with."""

import json
import string

import open_clip
import pytest
import torch
import transformers as T
from open_clip.tokenizer import HFTokenizer
from PIL import Image
from tokenizers import Regex, Tokenizer, normalizers
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing

from mlcd_eval.encoders.adapters.hf import texts
from mlcd_eval.encoders.adapters.hf.context import context_length
from mlcd_eval.encoders.adapters.hf.texts import Texts
from mlcd_eval.encoders.families.rows import FAMILIES, Text
from mlcd_eval.encoders.registry import load_encoder, parse
from mlcd_eval.encoders.weights import write_tensors
from mlcd_eval.errors import CheckpointError, IncompatibleError

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = {**SHAPE, "image_size": 32, "patch_size": 8}
SIGLIP = {**SHAPE, "vocab_size": 110, "max_position_embeddings": 16, "projection_size": 32, "pad_token_id": 0}
CAPTIONS = ["A Photo Of A Cat.", "Two dogs, & one (small) Bird_House!"]


def characters(*, lower=False, side="right"):
    """One token per character, the end of text behind it."""
    vocabulary = {token: number for number, token in enumerate(["<pad>", "<unk>", "</s>", *string.printable])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")
    tokenizer.post_processor = TemplateProcessing("$A </s>", special_tokens=[("</s>", 2)])
    if lower:
        tokenizer.normalizer = normalizers.Lowercase()
    names = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}
    return T.PreTrainedTokenizerFast(tokenizer_object=tokenizer, padding_side=side, **names)


def siglip(folder, tokenizer):
    torch.manual_seed(0)
    T.SiglipModel(T.SiglipConfig(text_config=SIGLIP, vision_config=VISION)).save_pretrained(folder)
    T.SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return f"hf:{folder}"


def features(spec, captions):
    encoder = load_encoder(spec, offline=True)
    with torch.inference_mode():
        return encoder, encoder.encode_texts(captions)


@pytest.mark.parametrize("lower", [False, True], ids=["case kept by the tokenizer", "lower-cased by the tokenizer"])
def test_siglip_texts_are_lower_cased_padded_and_unmasked(tmp_path, lower):
    encoder, ours = features(siglip(tmp_path, characters(lower=lower)), ["A CAT", "a cat"])
    torch.testing.assert_close(ours[0], ours[1])
    ids = [string.printable.index(character) + 3 for character in "a cat"]
    with torch.inference_mode():
        theirs = (
            T.SiglipModel.from_pretrained(tmp_path)
            .eval()
            .get_text_features(input_ids=torch.tensor([[*ids, 2, *[0] * 10]]))
        )
    torch.testing.assert_close(ours[:1], theirs.pooler_output, rtol=1e-5, atol=1e-5)
    assert encoder.info.extra["text"] == "lower-cased, punctuation removed, padded to 16, no mask"


def test_a_tokenizer_that_lower_cases_is_left_to_it():
    assert Texts(characters(lower=True), Text(), 8, None).in_words().startswith("lower-cased by its tokenizer, ")
    assert Texts(characters(), Text(), 8, None).in_words().startswith("lower-cased, ")


def test_cleaning_is_part_of_identity_and_can_be_chosen(tmp_path):
    spec = siglip(tmp_path, characters())
    trained, as_written = load_encoder(spec).info, load_encoder(f"{spec}?clean=none").info
    lower = load_encoder(f"{spec}?clean=lower").info
    assert len({info.fingerprint for info in (trained, as_written, lower)}) == 3
    assert as_written.extra["text"] == "case kept, padded to 16, no mask"
    assert lower.extra["text"] == "lower-cased, padded to 16, no mask"
    assert lower.name == f"{tmp_path.name}_clean_lower"


@pytest.mark.parametrize(("cleaning", "theirs"), [(None, "canonicalize"), ("lower", "lower")])
def test_tokens_are_those_of_open_clip(tmp_path, cleaning, theirs):
    characters().save_pretrained(tmp_path)
    ours = Texts(T.AutoTokenizer.from_pretrained(tmp_path), FAMILIES["SiglipModel"].text, 64, cleaning)
    expected = HFTokenizer(str(tmp_path), context_length=64, clean=theirs)(CAPTIONS)
    assert torch.equal(ours(CAPTIONS, torch.device("cpu"))["input_ids"], expected)


def test_padding_is_behind_the_text_whatever_the_tokenizer_says(tmp_path):
    left, right = (Texts(characters(side=side), Text(), 8, None) for side in ("left", "right"))
    ids = [each(["a", "abc"], torch.device("cpu"))["input_ids"].tolist() for each in (left, right)]
    assert ids[0] == ids[1] and ids[0][0][2:] == [0, 0]


def test_unknown_tokens_in_both_cases_are_not_taken_for_lower_casing():
    tokenizer = Tokenizer(WordLevel({"<pad>": 0, "<unk>": 1, "cat": 2}, unk_token="<unk>"))
    few = T.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")
    assert not Texts(few, Text(), 8, None).lower_cases
    assert Texts(few, Text(), 8, None)(["CAT"], torch.device("cpu"))["input_ids"].tolist() == [[2]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"max_length": 20}, "gives 20 tokens, expected 8"), ({"padding_side": "left"}, "puts padding before texts")],
)
def test_a_tokenizer_that_ignores_what_it_is_asked_for(arguments, message):
    class Stubborn:
        unk_token_id, pad_token_id, tokenizer = 1, 0, characters()

        def __call__(self, texts, **asked):
            return self.tokenizer(texts, **{**asked, **arguments})

    with pytest.raises(ValueError, match=message):
        Texts(Stubborn(), Text(), 8, None)


def test_a_tokenizer_that_lower_cases_what_was_trained_with_case_is_reported():
    with pytest.warns(UserWarning, match="lower-cases texts, but the model was trained on texts as they are written"):
        Texts(characters(lower=True), Text("none"), 8, None)


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.text is not None])
def test_every_family_with_texts_declares_how_it_takes_them(name):
    recipe = FAMILIES[name].text
    said = Texts(characters(), recipe, 77, None).in_words()
    cased = name in ("MetaClip2Model", "AltCLIPModel")  # trained with XLM's tokenizers, on texts as they were written
    assert said.startswith("case kept" if cased else "lower-cased,")
    assert hasattr(getattr(T, name), recipe.call) or recipe.call == "itc"


def test_texts_that_no_tokenizer_of_the_folder_can_take(tmp_path):
    tokenizer = characters()
    tokenizer.pad_token = None
    encoder = load_encoder(siglip(tmp_path, tokenizer), offline=True)
    assert "penultimate" in encoder.info.layers and not encoder.info.has_text
    with pytest.raises(IncompatibleError, match="has a tokenizer that cannot be used"):
        encoder.encode_texts(["a"])


def test_a_package_that_the_tokenizer_needs_is_needed_for_texts_only(tmp_path, monkeypatch):
    spec = siglip(tmp_path, characters())

    def missing(*_, **__):
        raise ImportError("SiglipTokenizer requires the SentencePiece library but it was not found")

    monkeypatch.setattr(texts.transformers.AutoTokenizer, "from_pretrained", missing)
    encoder = load_encoder(spec, offline=True)
    assert encoder.encode_images(torch.zeros(1, 3, 32, 32), ["penultimate"])["penultimate"].shape == (1, 32)
    with pytest.raises(
        IncompatibleError,
        match=r"needs more packages: pip install 'mlcd-eval\[hf\]' \(SiglipTokenizer requires the Sent",
    ):
        encoder.encode_texts(["a"])


def clip_folders(tmp_path):
    """One CLIP with open_clip's tokenizer, as open_clip and as transformers save it."""
    tower = {"width": 32, "layers": 2}
    config = {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": {**tower, "image_size": 32, "patch_size": 8, "head_width": 16, "mlp_ratio": 2.0},
        "text_cfg": {**tower, "heads": 2, "context_length": 77, "vocab_size": 49408, "mlp_ratio": 2.0},
    }
    torch.manual_seed(0)
    theirs = T.CLIPModel(
        T.CLIPConfig(
            text_config={**SHAPE, "vocab_size": 49408, "eos_token_id": 49407, "bos_token_id": 49406, "pad_token_id": 0},
            vision_config=VISION,
            projection_dim=16,
        )
    ).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.05 * torch.randn(parameter.shape)
    ours = tmp_path / "open_clip"
    ours.mkdir()
    model = open_clip.CLIP(**config)
    model.load_state_dict(open_clip_state(theirs))
    write_tensors(ours / "open_clip_model.safetensors", model.state_dict())
    (ours / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {"size": 32}}))
    folder = tmp_path / "transformers"
    theirs.save_pretrained(folder)
    T.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    simple = open_clip.tokenizer.SimpleTokenizer()
    renamed = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {renamed.get(token, token): number for token, number in simple.encoder.items()}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in simple.bpe_ranks))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    return f"open_clip:local-dir:{ours}", f"hf:{folder}"


def test_a_config_that_fits_no_image_or_no_text_is_told_at_load(tmp_path):
    _, spec = clip_folders(tmp_path)
    path = tmp_path / "transformers" / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["eos_token_id"] = [49407]  # transformers takes a list, and its CLIP does not
    path.write_text(json.dumps(config))
    encoder = load_encoder(spec)
    assert not encoder.info.has_text and "has a text tower that encodes no text: " in encoder.info.no_text

    path = tmp_path / "transformers" / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_center_crop": False}))
    with pytest.raises(CheckpointError, match=r"--model .* cannot be loaded: Input image size \(32\*48\)"):
        load_encoder(spec)  # an image that is not square keeps its shape


def open_clip_state(model):
    """The weights of a CLIPModel by open_clip's names."""
    state = model.state_dict()
    renamed = {
        "logit_scale": state["logit_scale"],
        "visual.class_embedding": state["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": state["vision_model.embeddings.position_embedding.weight"],
        "visual.conv1.weight": state["vision_model.embeddings.patch_embedding.weight"],
        "visual.proj": state["visual_projection.weight"].T,
        "token_embedding.weight": state["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": state["text_model.embeddings.position_embedding.weight"],
        "text_projection": state["text_projection.weight"].T,
    }
    for part in ("weight", "bias"):
        renamed[f"visual.ln_pre.{part}"] = state[f"vision_model.pre_layrnorm.{part}"]
        renamed[f"visual.ln_post.{part}"] = state[f"vision_model.post_layernorm.{part}"]
        renamed[f"ln_final.{part}"] = state[f"text_model.final_layer_norm.{part}"]
        for theirs, ours in (("vision_model", "visual.transformer"), ("text_model", "transformer")):
            for number in range(2):
                source, target = f"{theirs}.encoder.layers.{number}", f"{ours}.resblocks.{number}"
                attention = [state[f"{source}.self_attn.{each}_proj.{part}"] for each in "qkv"]
                renamed[f"{target}.attn.in_proj_{part}"] = torch.cat(attention)
                for mine, other in (
                    ("attn.out_proj", "self_attn.out_proj"),
                    ("ln_1", "layer_norm1"),
                    ("ln_2", "layer_norm2"),
                    ("mlp.c_fc", "mlp.fc1"),
                    ("mlp.c_proj", "mlp.fc2"),
                ):
                    renamed[f"{target}.{mine}.{part}"] = state[f"{source}.{other}.{part}"]
    return {name: tensor.clone().contiguous() for name, tensor in renamed.items()}


def test_open_clip_and_transformers_agree_on_the_same_weights(tmp_path):
    one, other = (load_encoder(spec, offline=True) for spec in clip_folders(tmp_path))
    image = Image.effect_mandelbrot((50, 40), (-2, -1.5, 1, 1.5), 20).convert("RGB")
    with torch.inference_mode():
        torch.testing.assert_close(one.encode_texts(CAPTIONS), other.encode_texts(CAPTIONS), rtol=1e-5, atol=1e-5)
        pixels = other.preprocess(image)[None]
        layers = sorted(set(one.info.layers) & set(other.info.layers))
        mine, theirs = one.encode_images(pixels, layers), other.encode_images(pixels, layers)
    assert layers == ["patches", "penultimate", "projected", "projected_patches"]
    for layer in layers:
        torch.testing.assert_close(mine[layer], theirs[layer], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(one.preprocess(image), other.preprocess(image), rtol=1e-5, atol=1e-5)


def test_another_context_cuts_or_interpolates_the_positions(tmp_path):
    spec = siglip(tmp_path, characters())
    (usual, _), (longer, ours), (shorter, cut) = (
        features(spec + end, ["a photo of a cat", "a photo of a dog"]) for end in ("", "?context=24", "?context=4")
    )
    assert [each.info.context_length for each in (usual, longer, shorter)] == [16, 24, 4]
    assert longer.count_tokens(["a photo of a cat", "A cat!"]) == [17, 6]  # cleaned, with the end of text
    assert torch.equal(cut[0], cut[1]) and not torch.allclose(ours[0], ours[1])
    theirs = T.SiglipModel.from_pretrained(tmp_path).eval()
    embeddings = theirs.text_model.embeddings
    weight = embeddings.position_embedding.weight.detach()
    place = ((torch.arange(24) + 0.5) * 16 / 24 - 0.5).clamp(0, 15)  # linear, between centres
    low = place.floor().long()
    share = (place - low)[:, None]
    rows = weight[low] * (1 - share) + weight[(low + 1).clamp(max=15)] * share
    embeddings.position_embedding = torch.nn.Embedding.from_pretrained(rows)
    embeddings.position_ids = torch.arange(24)[None]
    ids = [[string.printable.index(letter) + 3 for letter in text] + [2] for text in ("a photo of a cat",)]
    with torch.inference_mode():
        expected = theirs.get_text_features(input_ids=torch.tensor([ids[0] + [0] * 7])).pooler_output
    torch.testing.assert_close(ours[:1], expected, rtol=1e-4, atol=1e-5)
    assert longer.info.extra["text"] == "lower-cased, punctuation removed, padded to 24, no mask"
    assert len({each.info.fingerprint for each in (usual, longer, shorter)}) == 3


def test_a_context_that_a_model_does_not_allow(tmp_path):
    T.ViTModel(T.ViTConfig(**VISION)).save_pretrained(tmp_path / "vit")
    T.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    with pytest.raises(IncompatibleError, match="got context=24, which is of a text tower: expected a model with one"):
        load_encoder(f"hf:{tmp_path / 'vit'}?context=24", offline=True)
    model = load_encoder(siglip(tmp_path / "siglip", characters()), offline=True).model
    model.text_model.embeddings.position_embedding = torch.nn.Identity()
    with pytest.raises(IncompatibleError, match="no learned positions to interpolate: expected at most 16"):
        context_length(parse("hf:x?context=24"), model, FAMILIES["SiglipModel"].text)
