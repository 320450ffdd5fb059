"""What the cases of transformers_models.py are made of: small settings, tokenizers, and the calls of transformers.

Each oracle calls transformers as its documentation does and knows nothing of this package. Image processors run on PIL
where transformers has them so, since its tensor ones resize a little differently.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers as T
from PIL import Image
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing

from benchmarks.encoder_matrix.case import Case, Expected

SIZE = 32
SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
VIT = {**SHAPE, "image_size": SIZE, "patch_size": 8}
DINO = {key: value for key, value in VIT.items() if key != "intermediate_size"}
SPECIAL = ("<pad>", "<unk>", "<s>", "</s>")
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
TEXT = {**SHAPE, **IDS, "vocab_size": 128, "max_position_embeddings": 80}
BERT = {**TEXT, "max_position_embeddings": 96, "type_vocab_size": 2}
STAGES = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}
SAM_TOWER = {**DINO, "output_channels": 16, "window_size": 2, "global_attn_indexes": [1], "mlp_dim": 64}
HIERA_TOWER = {
    "hidden_size": 8,
    "num_attention_heads": 1,
    "image_size": [64, 64],
    "blocks_per_stage": [1, 1, 2, 1],
    "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 1, 2, 2],
    "window_size_per_stage": [4, 2, 2, 2],
    "global_attention_blocks": [3],
    "window_positional_embedding_background_size": [4, 4],
}
LLAMA = {**SHAPE, "vocab_size": 64, "num_key_value_heads": 2}

Layers = Callable[[Any, torch.Tensor], dict[str, torch.Tensor]]


def characters(before: str = "", after: str = "</s>") -> Any:
    """A tokenizer of single characters that keeps their case, with special tokens around a text."""
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *string.printable])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Split(Regex("."), "isolated")
    around = [(token, vocabulary[token]) for token in (before, after) if token]
    tokenizer.post_processor = TemplateProcessing(f"{before} $A {after}".strip(), special_tokens=around)
    return T.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def image_processor(**settings: Any) -> Any:
    """CLIP's: the shorter side is resized, the middle cropped."""
    return T.CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size={"height": SIZE, "width": SIZE}, **settings)


def squashed(cls: Any, side: int = SIZE, **settings: Any) -> Any:
    """A processor that resizes both sides."""
    return cls(size={"height": side, "width": side}, **settings)


def save(folder: Path, model: Any, *parts: Any) -> None:
    """Save a model and its processors. Every weight is moved at random from where it was initialised, since zeros hide
    faults; batch norms get the statistics of a batch, without which narrow networks give the same for every image."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
        norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        for norm in norms:
            norm.momentum = 1.0
        if norms:
            tower = getattr(model, "vision_model", model).train()
            tower(pixel_values=torch.randn(16, 3, 64, 64, generator=generator))
            tower.eval()
    for part in (model, *parts):
        part.save_pretrained(folder)


def preprocessed(processor: Any, images: list[Image.Image]) -> Any:
    """What a processor gives for images, or one for clips of a single frame."""
    if "Video" in type(processor).__name__:
        return processor([[image] for image in images], return_tensors="pt")
    return processor(images=images, return_tensors="pt")


def case(
    architecture: str,
    model: Callable[[], Any],
    layers: Layers,
    processor: Callable[[], Any] = image_processor,
    *,
    options: str = "",
    tokens: Callable[[Any, list[str]], Any] | None = None,
    tokenizer: Callable[[], Any] = characters,
    text_features: Callable[[Any, Any], torch.Tensor] | None = None,
) -> Case:
    """layers: from the model and its inputs to what transformers computes; tokens: texts by the tokenizer, as the
    model's documentation says."""

    def build(folder: Path) -> str:
        torch.manual_seed(0)
        save(folder, model(), processor(), *([tokenizer()] if tokens else []))
        return f"hf:{folder}{options}"

    def oracle(folder: Path, images: Sequence[Image.Image], texts: Sequence[str]) -> Expected:
        loaded = type(model()).from_pretrained(folder).eval()
        inputs = preprocessed(type(processor()).from_pretrained(folder), list(images))
        with torch.inference_mode():
            expected = layers(loaded, inputs)
            features = None
            if tokens:
                encoded = tokens(T.AutoTokenizer.from_pretrained(folder), list(texts))
                read = text_features or (lambda model, tokens: model.get_text_features(**tokens).pooler_output)
                features = read(loaded, encoded)
        pixels = inputs.get("pixel_values")
        return Expected(expected, pixels if pixels is not None and pixels.dim() == 4 else None, features)

    return Case(architecture, "hf", build, oracle)


def pooler(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """The class's own pooled output."""
    return {"penultimate": model(**inputs).pooler_output.flatten(1)}


def class_token(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """The first token of the last hidden state."""
    return {"penultimate": model(**inputs).last_hidden_state[:, 0]}


def mean(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """The mean over the tokens of models without a class token, and their grid."""
    tokens = model(**inputs).last_hidden_state
    side = round(tokens.shape[1] ** 0.5)
    return {"penultimate": tokens.mean(1), "patches": tokens.unflatten(1, (side, side))}


def mean_of_map(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """The mean over a (B, D, h, w) feature map, and the map as a grid."""
    features = model(**inputs).last_hidden_state
    return {"penultimate": features.mean((2, 3)), "patches": features.permute(0, 2, 3, 1)}


def pooler_and_map(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """The pooled output of a convolutional network, and its last feature map as a grid."""
    output = model(**inputs)
    return {"penultimate": output.pooler_output.flatten(1), "patches": output.last_hidden_state.permute(0, 2, 3, 1)}


def pooler_and_last(count: int) -> Layers:
    """The pooled output, and the last count * count tokens as a grid."""

    def layers(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
        output = model(**inputs)
        patches = output.last_hidden_state[:, -count * count :]
        return {"penultimate": output.pooler_output, "patches": patches.unflatten(1, (count, count))}

    return layers


def two_towers(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """The image tower's pooled output, and the model's image features."""
    return {
        "penultimate": model.vision_model(**inputs).pooler_output,
        "projected": model.get_image_features(**inputs).pooler_output,
    }


def masked_autoencoder(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """The class token with nothing masked, and the patches put back in their order."""
    model.config.mask_ratio = 0.0
    output = model(**inputs)
    order = output.ids_restore[..., None].expand(-1, -1, output.last_hidden_state.shape[-1])
    patches = output.last_hidden_state[:, 1:].gather(1, order)
    return {"penultimate": output.last_hidden_state[:, 0], "patches": patches.unflatten(1, (4, 4))}


def still(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """V-JEPA 2's encoder for an image that is shown in both frames of a tubelet."""
    clips = inputs["pixel_values_videos"].repeat(1, 2, 1, 1, 1)
    tokens = model(pixel_values_videos=clips, skip_predictor=True).last_hidden_state
    return {"penultimate": tokens.mean(1), "patches": tokens.unflatten(1, (4, 4))}


def radio(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """The summary and the spatial features."""
    output = model(**inputs)
    return {"penultimate": output.summary, "patches": output.features.unflatten(1, (4, 4))}


def contrast(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """BLIP's class token, and its projection for the image-text contrast."""
    token = model.vision_model(**inputs).last_hidden_state[:, 0]
    return {"penultimate": token, "projected": model.vision_proj(token)}


def hierarchical(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
    """SAM 2's backbone, whose map has its channels last."""
    features = model(**inputs).last_hidden_state
    return {"penultimate": features.mean((1, 2)), "patches": features}


def part(name: str, layers: Layers) -> Layers:
    """The same of a part of the model."""

    def of_part(model: Any, inputs: Any) -> dict[str, torch.Tensor]:
        tower = model
        for step in name.split("."):
            tower = getattr(tower, step)
        return layers(tower, inputs)

    return of_part


def longest(lower: bool, length: int = 80) -> Callable[[Any, list[str]], Any]:
    """Texts padded to the longest one."""

    def tokens(tokenizer: Any, texts: list[str]) -> Any:
        texts = [text.lower() for text in texts] if lower else texts
        return tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt").data

    return tokens


def padded(length: int, mask: bool, clean: Callable[[str], str] = str.lower) -> Callable[[Any, list[str]], Any]:
    """Cleaned texts padded to one length."""

    def tokens(tokenizer: Any, texts: list[str]) -> Any:
        texts = [clean(text) for text in texts]
        size = {"padding": "max_length", "padding_side": "right", "truncation": True, "max_length": length}
        encoded = tokenizer(texts, return_tensors="pt", **size)
        return encoded.data if mask else {"input_ids": encoded["input_ids"]}

    return tokens
