"""A checkpoint in the formats of other libraries: transformers (image tower) and open_clip (both towers)."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.encoders.towers.text_transformer import TextConfig
from mlcd_eval.encoders.towers.vit import VisionConfig
from mlcd_eval.encoders.weights import os_errors
from mlcd_eval.errors import ConfigError, IncompatibleError
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import write_json

_OURS = ("ln_1", "qkv", "out", "ln_2", "mlp_in", "mlp_out")
_OPEN_CLIP = ("ln_1", "attn.in_proj_", "attn.out_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")
_HF = ("layer_norm1", "", "self_attn.out_proj", "layer_norm2", "mlp.fc1", "mlp.fc2")


def export(model: DualEncoder, folder: Path, format: str) -> None:
    """Write `hf` (CLIPVisionModel, or MLCDVisionModel with rotary positions, and its image processor) or `open_clip`
    (a local-dir) to a folder that does not exist yet.

    Raises ConfigError if it exists, IncompatibleError for what the format cannot hold.
    """
    if folder.exists():
        raise ConfigError(f"export: {folder} already exists, expected a new folder")
    write = {"hf": _write_hf, "open_clip": _write_open_clip}[format]
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    try:
        temporary.mkdir()
        with os_errors(folder):
            write(model, temporary)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_hf(model: DualEncoder, folder: Path) -> None:
    """Write the image tower; pooler_output is our pooled feature. Projection and text tower are left out, since these
    classes hold none."""
    import transformers

    config = model.config.vision
    if not config.pre_norm:
        raise IncompatibleError("export hf: pre_norm is false, expected true, as in CLIPVisionModel")
    shape = {
        "hidden_size": config.width,
        "intermediate_size": int(config.width * config.mlp_ratio),
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "image_size": config.image_size,
        "patch_size": config.patch_size,
        "hidden_act": config.activation,
        "layer_norm_eps": config.norm_eps,
    }
    rotary = config.positions == "rope2d"
    if rotary and config.rope_theta != 10000.0:
        raise IncompatibleError(f"export hf: rope_theta is {config.rope_theta}, expected MLCDVisionModel's 10000")
    exported: Any = (
        transformers.MLCDVisionModel(transformers.MLCDVisionConfig(**shape))
        if rotary
        else transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**shape))
    )
    state = _hf_state(model, rotary)
    prefix = "vision_model." if any(name.startswith("vision_model.") for name in exported.state_dict()) else ""
    exported.load_state_dict({prefix + name: tensor for name, tensor in state.items()}, strict=False)
    expected = {name for name in exported.state_dict() if not name.endswith(("position_ids", "inv_freq"))}
    assert expected == {prefix + name for name in state}, "every tensor is written to its counterpart"
    exported.save_pretrained(folder)
    preprocess = model.config.preprocess
    transformers.CLIPImageProcessorPil(
        size={"shortest_edge": preprocess.image_size},
        crop_size={"height": preprocess.image_size, "width": preprocess.image_size},
        image_mean=list(preprocess.mean),
        image_std=list(preprocess.std),
    ).save_pretrained(folder)
    processor = folder / "preprocessor_config.json"
    settings = read_json(processor) | {"image_processor_type": "CLIPImageProcessor"}
    write_json(processor, settings)


def _hf_state(model: DualEncoder, rotary: bool) -> dict[str, Tensor]:
    ours = {name.removeprefix("visual."): p for name, p in _weights(model).items() if name.startswith("visual.")}
    names = {
        "patch_embedding.weight": "embeddings.patch_embedding.weight",
        "class_embedding": "embeddings.class_embedding",
        "position_embedding": "embeddings.position_embedding.weight",
        "class_angles": "class_pos_emb",
    }
    state = {names[name]: tensor for name, tensor in ours.items() if name in names}
    for side, norm in (("ln_pre", "pre_layrnorm"), ("ln_post", "post_layernorm")):
        state |= {f"{norm}.{part}": ours[f"{side}.{part}"] for part in ("weight", "bias")}
    for name, tensor in ours.items():
        if name.startswith("blocks."):
            _, number, layer, part = name.split(".")
            block = f"encoder.layers.{number}"
            if layer == "qkv":
                for letter, piece in zip("qkv", tensor.chunk(3), strict=True):
                    state[f"{block}.self_attn.{letter}_proj.{part}"] = piece.contiguous()
            else:
                state[f"{block}.{_HF[_OURS.index(layer)]}.{part}"] = tensor
    return state


def _write_open_clip(model: DualEncoder, folder: Path) -> None:
    config, text = model.config.vision, model.config.text
    if text is None or model.logit_scale is None:
        raise IncompatibleError("export open_clip: the checkpoint has no text tower (run lit first)")
    if config.positions != "absolute":
        raise IncompatibleError(
            f"export open_clip: positions are {config.positions}, expected absolute, as in open_clip's ViT"
        )
    if config.activation != "gelu":
        raise IncompatibleError(f"export open_clip: activation is {config.activation}, expected gelu in both towers")
    ours = _weights(model)
    projection = torch.eye(config.width) if model.projection is None else ours["projection"]
    state = {
        "visual.proj": projection,
        "visual.conv1.weight": ours["visual.patch_embedding.weight"],
        "visual.class_embedding": ours["visual.class_embedding"],
        "visual.positional_embedding": ours["visual.position_embedding"],
        "token_embedding.weight": ours["text.token_embedding.weight"],
        "positional_embedding": ours["text.position_embedding"],
        "text_projection": ours["text.projection"],
        "logit_scale": ours["logit_scale"],
    }
    for norm in (*(["visual.ln_pre"] if config.pre_norm else []), "visual.ln_post", "text.ln_final"):
        state |= {f"{norm.removeprefix('text.')}.{part}": ours[f"{norm}.{part}"] for part in ("weight", "bias")}
    for name, tensor in ours.items():
        tower, _, rest = name.partition(".blocks.")
        if rest:
            number, layer, part = rest.split(".")
            block = ("visual." if tower == "visual" else "") + f"transformer.resblocks.{number}"
            theirs = _OPEN_CLIP[_OURS.index(layer)]
            state[f"{block}.{theirs}{'' if theirs.endswith('_') else '.'}{part}"] = tensor
    save_file(state, folder / "open_clip_model.safetensors")
    document = {
        "model_cfg": _open_clip_model(config, text, projection.shape[1]),
        "preprocess_cfg": _open_clip_preprocess(model.config.preprocess),
    }
    write_json(folder / "open_clip_config.json", document)


def _open_clip_model(vision: VisionConfig, text: TextConfig, embed_dim: int) -> dict[str, Any]:
    return {
        "embed_dim": embed_dim,
        "vision_cfg": {
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "width": vision.width,
            "layers": vision.depth,
            "head_width": vision.width // vision.heads,
            "mlp_ratio": vision.mlp_ratio,
            **({} if vision.pre_norm else {"no_ln_pre": True}),
            **({} if vision.norm_eps == 1e-5 else {"norm_kwargs": {"eps": vision.norm_eps}}),
        },
        "text_cfg": {
            "context_length": text.context_length,
            "vocab_size": text.vocab_size,
            "width": text.width,
            "heads": text.heads,
            "layers": text.depth,
        },
    }


def _open_clip_preprocess(preprocess: Preprocess) -> dict[str, Any]:
    return {
        "mean": list(preprocess.mean),
        "std": list(preprocess.std),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }


def _weights(model: DualEncoder) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
