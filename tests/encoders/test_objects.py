"""Models in memory: features are the module's own, the object stays as it is, other weights are another model."""

import dataclasses
import doctest

import numpy as np
import open_clip
import pytest
import torch
import transformers as T
from PIL import Image
from tiny_encoder import Echo, TinyEncoder, check_it_passes_all_to
from torch import nn

from mlcd_eval.encoders import torch_encoder
from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, CheckpointEncoder, DualEncoder
from mlcd_eval.encoders.objects import as_encoder
from mlcd_eval.errors import ConfigError, IncompatibleError

TEXT = {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1}
VIT = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}


def preprocess(image):
    return torch.from_numpy(np.asarray(image.resize((32, 32)), np.float32).transpose(2, 0, 1).copy()) / 255


def module(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 8), nn.Dropout(0.5))


class Towers(nn.Module):
    """A model of images and texts, as openai/CLIP's."""

    def __init__(self):
        super().__init__()
        self.image, self.text = nn.Linear(3, 4), nn.Embedding(9, 4)

    def encode_image(self, pixels):
        return self.image(pixels.mean((2, 3)))

    def encode_text(self, tokens):
        return self.text(tokens).mean(1)


def tokens(texts):
    return torch.tensor([[len(text) % 9, text.count("a")] for text in texts])


def clip(seed=0):
    torch.manual_seed(seed)
    return open_clip.CLIP(embed_dim=16, vision_cfg=VIT, text_cfg=TEXT)


def test_a_modules_features_are_its_own_in_evaluation_mode():
    model, pixels = module(), torch.rand(3, 3, 32, 32)
    encoder = as_encoder(model, preprocess)
    assert encoder.info.layers == {"penultimate": 8} and not encoder.info.has_text
    assert (encoder.info.name, encoder.info.spec) == ("Sequential", "object:torch.nn.modules.container.Sequential")
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    ours = encoder.encode_images(pixels, ["penultimate"])["penultimate"]
    assert torch.equal(ours, model.eval()(pixels)) and not ours.requires_grad
    assert encoder.model[1].weight.data_ptr() == model[1].weight.data_ptr()


def test_texts_go_through_the_tokenizer_to_the_models_own_tower():
    model = Towers()
    encoder = as_encoder(model, preprocess, tokens)
    assert encoder.info.layers == {"penultimate": 4, "projected": 4} and encoder.info.has_text
    pixels = torch.rand(2, 3, 32, 32)
    assert torch.equal(encoder.encode_images(pixels, ["projected"])["projected"], model.encode_image(pixels))
    assert torch.equal(encoder.encode_texts(["a cat", "dog"]), model.encode_text(tokens(["a cat", "dog"])))
    given = as_encoder(module(), preprocess, encode_text=lambda texts: torch.ones(len(texts), 8))
    assert given.encode_texts(["a", "b"]).shape == (2, 8)
    bound = as_encoder(model, preprocess, tokens, model.encode_text)
    assert bound._encode_text.__self__ is bound.model  # which moves to another device; the caller's does not


def test_what_is_known_of_a_module():
    def wide(image):
        assert (image.mode, image.getpixel((0, 0))) == ("RGB", (128, 128, 128))
        return torch.zeros(3, 32, 48)

    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 8))
    info = as_encoder(model, wide).info
    assert (info.image_size, info.num_params, info.no_text) == (
        (32, 48),
        32,
        "was given without tokenizer= or encode_text=",
    )
    assert info.preprocessing.startswith("<function ") and " at 0x" not in info.preprocessing
    with pytest.raises(IncompatibleError, match="Sequential' was given without tokenizer= or encode_text=: got texts"):
        as_encoder(model, wide).encode_texts(["a"])


def test_tokens_by_name_are_given_by_name():
    class Named(Towers):
        def encode_text(self, ids, mask):
            return self.text(ids).mean(1) * mask

    def tokenizer(texts):
        return {"mask": torch.full((len(texts), 1), 3.0), "ids": tokens(texts)}

    model = Named()
    expected = model.text(tokens(["a cat", "dog"])).mean(1) * 3
    assert torch.equal(as_encoder(model, preprocess, tokenizer).encode_texts(["a cat", "dog"]), expected)


def test_layers_by_name():
    class Layered(nn.Module):
        def forward(self, pixels):
            return {"penultimate": pixels.mean((2, 3)), "patches": pixels[..., ::8, ::8].permute(0, 2, 3, 1)}

    assert as_encoder(Layered(), preprocess).info.layers == {"penultimate": 3, "patches": 3}


def test_the_fingerprint_is_of_weights_preprocessing_and_outputs():
    first = as_encoder(module(), preprocess).info.fingerprint
    assert as_encoder(module(), preprocess).info.fingerprint == first
    assert as_encoder(module(seed=1), preprocess).info.fingerprint != first
    assert as_encoder(module(), lambda image: preprocess(image) * 2).info.fingerprint != first
    model = module()
    with torch.no_grad():
        model[1].bias[0] += 0.001
    assert as_encoder(model, preprocess).info.fingerprint != first
    compiled = torch.compile(module())  # compiles at the first call, which never comes
    assert as_encoder(nn.DataParallel(compiled), preprocess).info.fingerprint == first


def test_a_model_of_open_clip_has_the_layers_of_its_adapter():
    model, tokenizer = clip(), open_clip.SimpleTokenizer(context_length=16)
    projection, pixels = model.visual.proj, torch.rand(2, 3, 32, 32)
    encoder = as_encoder(model, preprocess, tokenizer)
    assert set(encoder.info.layers) == {"penultimate", "projected", "patches", "projected_patches"}
    with torch.inference_mode():
        ours = encoder.encode_images(pixels, ["projected"])["projected"]
        torch.testing.assert_close(ours, model.eval().encode_image(pixels))
        texts = tokenizer(["a cat", "two dogs"])
        torch.testing.assert_close(encoder.encode_texts(["a cat", "two dogs"]), model.encode_text(texts))
    assert model.visual.proj is projection and projection.requires_grad and not model.visual.output_tokens
    silent = as_encoder(model, preprocess).info
    assert (silent.has_text, silent.no_text) == (False, "was given without tokenizer= or encode_text=")


def test_a_model_of_transformers_has_the_layers_of_its_adapter():
    vision = {**SHAPE, "image_size": 32, "patch_size": 8}
    text = {**SHAPE, "vocab_size": 12, "max_position_embeddings": 9, "eos_token_id": 2}
    model = T.CLIPModel(T.CLIPConfig(text_config=text, vision_config=vision, projection_dim=16))
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    processor = T.CLIPImageProcessorPil(**size)
    encoder = as_encoder(model, processor)
    assert set(encoder.info.layers) == {"penultimate", "projected", "patches", "projected_patches"}
    assert not encoder.info.has_text
    pixels = encoder.preprocess(Image.new("RGB", (50, 40), (200, 0, 0)))
    assert pixels.shape == (3, 32, 32)
    with torch.inference_mode():
        theirs = model.eval().get_image_features(pixel_values=pixels[None])
        theirs = theirs if isinstance(theirs, torch.Tensor) else theirs.pooler_output
        torch.testing.assert_close(encoder.encode_images(pixels[None], ["projected"])["projected"], theirs)
    by_function, image = as_encoder(model, preprocess), Image.new("RGB", (50, 40), (200, 0, 0))
    assert torch.equal(by_function.preprocess(image), preprocess(image))
    assert by_function.info.layers == encoder.info.layers and by_function.info.no_text == encoder.info.no_text
    assert by_function.info.fingerprint != encoder.info.fingerprint


def test_an_encoder_keeps_its_info():
    given = TinyEncoder()
    info = given.info
    first = as_encoder(given).info
    assert given.info is info
    assert (first.name, first.spec) == ("TinyEncoder", "object:tiny_encoder.TinyEncoder")
    assert as_encoder(given).info == first
    given.directions = given.directions * 2
    assert as_encoder(given).info.fingerprint != first.fingerprint


def test_a_given_encoder_is_called_for_everything():
    given = Echo()
    encoder = as_encoder(given)
    check_it_passes_all_to(given, encoder)
    assert encoder.to("there", "bf16") is encoder and given.moved == ("there", "bf16")
    assert encoder.preprocess is given.preprocess
    given.info = dataclasses.replace(given.info, name="mine")
    assert as_encoder(given).info.name == "mine"


def test_a_given_encoder_is_resized_under_an_identity_of_its_own():
    vision = {"image_size": 16, "patch_size": 8, "width": 16, "depth": 1, "heads": 2}
    model = DualEncoder(CheckpointConfig.model_validate({"vision": vision, "preprocess": {"image_size": 16}}))
    given = CheckpointEncoder("mine", model)
    encoder = as_encoder(given)
    other, pixels = encoder.resized((32, 32)), torch.rand(1, 3, 32, 32)
    assert other.info.image_size == (32, 32) and other.preprocess.image_size == 32
    assert (other.info.spec, other.info.name) == (encoder.info.spec, encoder.info.name)
    theirs = given.resized((32, 32))
    assert len({each.info.fingerprint for each in (given, encoder, other, theirs)}) == 4
    found, expected = (each.encode_images(pixels, ["patches"])["patches"] for each in (other, theirs))
    assert found.shape == (1, 4, 4, 16) and torch.equal(found, expected)


class Uncopied(nn.Module):
    def __deepcopy__(self, memo):
        raise TypeError("cannot pickle 'thread.lock'")


def returning(output):
    class Returning(nn.Module):
        def forward(self, pixels):
            return output(pixels)

    return Returning()


@pytest.mark.parametrize(
    ("model", "parts", "message"),
    [
        (3, {}, "model is a int, expected a spec such as 'hf:PATH', an Encoder or an nn.Module"),
        (module(), {}, "Sequential came without preprocess="),
        (TinyEncoder(), {"preprocess": preprocess}, "TinyEncoder is an Encoder, which has its own preprocessing"),
        (module(), {"preprocess": lambda image: 3}, "preprocess= of Sequential gave int, expected a tensor"),
        (module(), {"preprocess": lambda image: torch.ones(1, 3, 8, 8)}, r"gave \(1, 3, 8, 8\), expected a tensor"),
        (TinyEncoder(), {"tokenizer": tokens}, "tokenizer= and encode_text= only with modules"),
        (TinyEncoder(), {"encode_text": tokens}, "tokenizer= and encode_text= only with modules"),
        (
            returning(lambda pixels: {"patches": pixels, "projected": 3}),
            {"preprocess": preprocess},
            "gave dict for pix",
        ),
        (module(), {"preprocess": preprocess, "tokenizer": tokens}, "Sequential has no method encode_text"),
        (returning(lambda pixels: pixels), {"preprocess": preprocess}, r"gave \(1, 3, 32, 32\) for pixels .*\(B, D\)"),
        (returning(lambda pixels: {"pooled": pixels}), {"preprocess": preprocess}, "the layer 'pooled', expected some"),
        (Uncopied(), {"preprocess": preprocess}, r"Uncopied cannot be copied by copy.deepcopy \(cannot pickle"),
    ],
)
def test_what_is_no_model_is_one_sentence(model, parts, message):
    with pytest.raises(ConfigError, match=message) as caught:
        as_encoder(model, **parts)
    assert "\n" not in str(caught.value)


def test_the_example_of_torch_encoder_runs():
    assert doctest.testmod(torch_encoder).failed == 0
    assert doctest.testmod(torch_encoder).attempted > 5
