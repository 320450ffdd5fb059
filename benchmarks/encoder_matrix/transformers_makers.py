"""Small models of transformers whose configs take more than a line."""

from __future__ import annotations

from typing import Any

import transformers as T

from benchmarks.encoder_matrix.transformers_parts import (
    BERT,
    HIERA_TOWER,
    LLAMA,
    SHAPE,
    TEXT,
    VIT,
    characters,
    squashed,
)

TOWERS = {"text_config": TEXT, "vision_config": VIT, "projection_dim": 16}
NARROW = {"width_coefficient": 0.1, "depth_coefficient": 0.1, "hidden_dim": 128, "image_size": 32}


def bert_tokenizer() -> Any:
    """Texts between two special tokens."""
    return characters("<s>", "</s>")


def siglip(**vision: Any) -> Any:
    """SigLIP's config with both towers."""
    text = {**TEXT, "projection_size": 32, "max_position_embeddings": 16}
    return T.SiglipConfig(text_config=text, vision_config={**VIT, **vision})


def siglip2() -> Any:
    """SigLIP 2's config for images that keep their aspect."""
    text = {**TEXT, "projection_size": 32, "max_position_embeddings": 16}
    return T.Siglip2Config(text_config=text, vision_config={**SHAPE, "patch_size": 8, "num_patches": 16})


def blip() -> Any:
    """BLIP's config."""
    text = {**BERT, "encoder_hidden_size": 32, "sep_token_id": 3}
    return T.BlipConfig(text_config=text, vision_config=VIT, projection_dim=16, image_text_hidden_size=16)


def sam2() -> Any:
    """SAM 2's config of the image tower."""
    return T.Sam2VisionConfig(
        backbone_config=T.Sam2HieraDetConfig(**HIERA_TOWER),
        backbone_channel_list=[64, 32, 16, 8],
        fpn_hidden_size=16,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )


def llava() -> Any:
    """LLaVA around CLIP's image tower."""
    return T.LlavaForConditionalGeneration(
        T.LlavaConfig(vision_config=T.CLIPVisionConfig(**VIT), text_config=T.LlamaConfig(**LLAMA), image_token_index=5)
    )


def internvl() -> Any:
    """InternVL around its own image tower."""
    vision = {**VIT, "image_size": [32, 32], "patch_size": [8, 8], "use_mean_pooling": False}
    return T.InternVLForConditionalGeneration(
        T.InternVLConfig(
            vision_config=T.InternVLVisionConfig(**vision), text_config=T.LlamaConfig(**LLAMA), image_token_id=5
        )
    )


def blip2() -> Any:
    """BLIP-2 around its image tower."""
    qformer = {**BERT, "encoder_hidden_size": 32}
    config = T.Blip2Config(
        vision_config=VIT,
        qformer_config=qformer,
        text_config={"model_type": "opt", "hidden_size": 32, "ffn_dim": 64, "num_hidden_layers": 1, "vocab_size": 64}
        | {"num_attention_heads": 2, "word_embed_proj_dim": 32},
    )
    return T.Blip2ForConditionalGeneration(config)


def square(cls: Any, side: int = 32) -> Any:
    """A maker of a processor that resizes both sides, without the crop that some have."""
    return lambda: squashed(cls, side, **({"do_center_crop": False} if hasattr(cls, "crop_size") else {}))
