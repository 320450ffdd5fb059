"""Models whose class a repository ships as code: stand-ins with the interfaces of RADIO, OneVision-Encoder, InternViT
and EVA-CLIP."""

import json

import pytest
import torch
import transformers as T
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from mlcd_eval.encoders.registry import check_spec, load_encoder
from mlcd_eval.encoders.weights import write_tensors
from mlcd_eval.errors import ConfigError, IncompatibleError

HEAD = """
from collections import namedtuple
from pathlib import Path
import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

Path({trace!r}).write_text("the code ran")

class Tokens(nn.Module):
    def __init__(self, width=8, patch=8):
        super().__init__()
        self.conv = nn.Conv2d(3, width, patch, patch)

    def forward(self, pixels):
        return self.conv(pixels).flatten(2).mT
"""
RADIO = """
RadioOutput = namedtuple("RadioOutput", ["summary", "features"])

class RADIOConfig(PretrainedConfig):
    def __init__(self, patch_size=8, adaptor_names=None, adaptor_configs=None, **kwargs):
        self.patch_size, self.adaptor_names, self.adaptor_configs = patch_size, adaptor_names, adaptor_configs
        super().__init__(**kwargs)

class RADIOModel(PreTrainedModel):
    config_class = RADIOConfig

    def __init__(self, config):
        super().__init__(config)
        self.tokens = Tokens()
        self.heads = nn.ModuleDict({name: nn.Linear(8, 5) for name in config.adaptor_names or []})
        self.post_init()

    def forward(self, x):
        assert 0 <= x.min() and x.max() <= 1
        tokens = self.tokens(x)
        output = RadioOutput(torch.cat([tokens.amax(1), tokens.amin(1)], 1), tokens)
        if not len(self.heads):
            return output
        heads = {name: RadioOutput(head(tokens.amax(1)), head(tokens)) for name, head in self.heads.items()}
        return {"backbone": output, **heads}
"""
POOLED = """
class StandInConfig(PretrainedConfig):
    model_type = "stand_in_NAME"
    def __init__(self, patch_size=8, image_size=32, **kwargs):
        self.patch_size, self.image_size = patch_size, image_size
        super().__init__(**kwargs)

class NAME(PreTrainedModel):
    config_class = StandInConfig

    def __init__(self, config):
        super().__init__(config)
        self.tokens = Tokens()
        self.post_init()

    def forward(self, pixel_values=None):
        tokens = self.tokens(pixel_values)
        tokens = torch.cat([PREFIX, tokens], 1)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, pooler_output=POOLER)
"""


def pooled(name, prefix, pooler):
    return POOLED.replace("NAME", name).replace("PREFIX", prefix).replace("POOLER", pooler)


def save(folder, code, name, config_name, **config):
    """A repository with a modeling file, its config and weights."""
    trace = folder / "trace"
    (folder / "modeling.py").write_text(HEAD.format(trace=str(trace)) + code)
    auto_map = {"AutoConfig": f"modeling.{config_name}", "AutoModel": f"modeling.{name}"}
    document = {"architectures": [name], "auto_map": auto_map, **config}
    (folder / "config.json").write_text(json.dumps(document))
    torch.manual_seed(0)
    conv = torch.nn.Conv2d(3, 8, 8, 8)
    weights = {f"tokens.conv.{key}": value.detach() for key, value in conv.state_dict().items()}
    T.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)
    return conv, weights, trace


def write(folder, weights):
    write_tensors(folder / "model.safetensors", weights)


def tokens_of(conv, pixels):
    return conv(pixels).flatten(2).mT


def test_no_code_runs_without_the_flag(tmp_path):
    _, weights, trace = save(tmp_path, RADIO, "RADIOModel", "RADIOConfig")
    write(tmp_path, weights)
    check_spec(f"hf:{tmp_path}")
    with pytest.raises(ConfigError, match=r"its repository ships \(class RADIOModel\): expected --trust-remote-code$"):
        load_encoder(f"hf:{tmp_path}")
    document = json.loads((tmp_path / "config.json").read_text())
    document |= {"architectures": ["Other"], "auto_map": {**document["auto_map"], "AutoModel": "modeling.Other"}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    with pytest.raises(IncompatibleError, match="got architecture Other, expected one of CLIPModel"):
        load_encoder(f"hf:{tmp_path}", trust_remote_code=True)
    assert not trace.exists()


def test_radio_takes_unit_pixels_and_gives_summary_and_features(tmp_path):
    conv, weights, trace = save(tmp_path, RADIO, "RADIOModel", "RADIOConfig")
    write(tmp_path, weights)
    encoder = load_encoder(f"hf:{tmp_path}", trust_remote_code=True)
    assert trace.exists()
    pixels = encoder.preprocess(Image.new("RGB", (40, 40), (255, 0, 51)))
    torch.testing.assert_close(pixels[:, 3, 3], torch.tensor([1.0, 0.0, 0.2]))
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        ours, tokens = encoder.encode_images(pixels, ["penultimate", "patches"]), tokens_of(conv, pixels)
    torch.testing.assert_close(ours["penultimate"], torch.cat([tokens.amax(1), tokens.amin(1)], 1))
    torch.testing.assert_close(ours["patches"], tokens.unflatten(1, (4, 4)))
    (tmp_path / "modeling.py").write_text((tmp_path / "modeling.py").read_text().replace("amin(1)", "mean(1)"))
    changed = load_encoder(f"hf:{tmp_path}", trust_remote_code=True)
    assert changed.info.fingerprint != encoder.info.fingerprint


def test_an_adaptor_of_radio_is_read_by_its_name(tmp_path):
    conv, weights, _ = save(tmp_path, RADIO, "RADIOModel", "RADIOConfig", adaptor_configs={"clip": {}, "sam": {}})
    head = torch.nn.Linear(8, 5)
    write(tmp_path, {**weights, "heads.clip.weight": head.weight, "heads.clip.bias": head.bias})
    encoder = load_encoder(f"hf:{tmp_path}?adaptor=clip", trust_remote_code=True)
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        ours, tokens = encoder.encode_images(pixels, ["penultimate", "patches"]), tokens_of(conv, pixels)
        torch.testing.assert_close(ours["penultimate"], head(tokens.amax(1)))
        torch.testing.assert_close(ours["patches"], head(tokens).unflatten(1, (4, 4)))
    assert encoder.info.name == f"{tmp_path.name}_adaptor_clip"
    with pytest.raises(ConfigError, match=r"got adaptor=clp, expected one of RADIO's: clip, sam \(did you mean 'clip'"):
        check_spec(f"hf:{tmp_path}?adaptor=clp")


@pytest.mark.parametrize(
    ("name", "prefix", "pooler", "count"),
    [
        ("InternVisionModel", "tokens.amax(1, keepdim=True)", "tokens[:, 0]", 1),
        ("OneVisionEncoderModel", "tokens[:, :0]", "tokens.amin(1)", 0),
    ],
)
def test_internvit_and_onevision_encoder(tmp_path, name, prefix, pooler, count):
    conv, weights, _ = save(tmp_path, pooled(name, prefix, pooler), name, "StandInConfig")
    write(tmp_path, weights)
    encoder = load_encoder(f"hf:{tmp_path}", trust_remote_code=True)
    pixels = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        ours, tokens = encoder.encode_images(pixels, ["penultimate", "patches"]), tokens_of(conv, pixels)
    torch.testing.assert_close(ours["penultimate"], tokens.amax(1) if count else tokens.amin(1))
    torch.testing.assert_close(ours["patches"], tokens.unflatten(1, (4, 4)))
    assert encoder.info.extra["class"] == name


EVA = """
class EvaCLIPConfig(PretrainedConfig):
    model_type = "stand_in_eva"
    def __init__(self, patch_size=8, text_config=None, **kwargs):
        self.patch_size, self.text_config = patch_size, PretrainedConfig(**(text_config or {}))
        super().__init__(**kwargs)

class Tower(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config, self.tokens, self.post_layernorm = config, Tokens(), nn.LayerNorm(8)

    def forward(self, pixel_values):
        tokens = self.tokens(pixel_values)
        tokens = torch.cat([tokens.amax(1, keepdim=True), tokens], 1)
        return BaseModelOutputWithPooling(tokens, self.post_layernorm(tokens[:, 0]))

class EvaCLIPModel(PreTrainedModel):
    config_class = EvaCLIPConfig

    def __init__(self, config):
        super().__init__(config)
        self.vision_model, self.visual_projection = Tower(config), nn.Linear(8, 4, bias=False)
        self.words = nn.Embedding(8, 4)
        self.post_init()

    def encode_text(self, input_ids):
        return self.words(input_ids)[:, 1]
"""


def test_eva_clip_has_both_towers(tmp_path):
    text = {"max_position_embeddings": 77}
    conv, weights, _ = save(tmp_path, EVA, "EvaCLIPModel", "EvaCLIPConfig", text_config=text)
    projection, words, norm = torch.randn(4, 8), torch.randn(8, 4), torch.nn.LayerNorm(8)
    towers = {f"vision_model.{name}": tensor for name, tensor in weights.items()}
    norms = {f"vision_model.post_layernorm.{name}": tensor for name, tensor in norm.state_dict().items()}
    write(tmp_path, {**towers, **norms, "visual_projection.weight": projection, "words.weight": words})
    tokenizer = Tokenizer(WordLevel({"<pad>": 0, "<unk>": 1, "a": 2, "cat": 3}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    T.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>").save_pretrained(
        tmp_path
    )
    encoder = load_encoder(f"hf:{tmp_path}", trust_remote_code=True)
    pixels = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        ours, tokens = encoder.encode_images(pixels, ["projected", "patches"]), tokens_of(conv, pixels)
        torch.testing.assert_close(ours["projected"], norm(tokens.amax(1)) @ projection.T)
        torch.testing.assert_close(ours["patches"], norm(tokens).unflatten(1, (4, 4)))
        torch.testing.assert_close(encoder.encode_texts(["A Cat"]), words[3:4])
    assert encoder.info.extra["text"] == "lower-cased, padded to 77, no mask"
