"""Start from another model's weights: any encoder of mlcd-eval whose image tower is a ViT of this project's structure.

The tensors of open_clip, transformers, timm and this project are renamed by a table per library. Whether the result is
the same model is not taken from names: both towers encode an image, and must agree. Projections and text towers are
taken only from this project's checkpoints.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlcd_eval.encoders.adapters.checkpoint import CheckpointConfig, DualEncoder
from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, Encoder
from mlcd_eval.encoders.probe import fixed_image
from mlcd_eval.encoders.registry import load_encoder
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.encoders.towers.vit import VisionConfig, resized_positions
from mlcd_eval.errors import ConfigError
from mlcd_train.sections import ModelConfig

POSITIONS = "visual.position_embedding"
TOLERANCE = 1e-3  # of the largest feature: rounding is 1e-6, another activation or norm 1e-2


@dataclass(frozen=True)
class Layout:
    """Names of one library's tensors. patches: the patch embedding's weight, by which the layout is recognised; what
    comes before this name is cut off. block: of block n; names: of the other tensors -> ours, by beginnings."""

    patches: str
    block: str
    names: Mapping[str, str]


LAYOUTS = (
    Layout(
        "visual.patch_embedding.weight",
        r"visual\.blocks\.(\d+)\.(.*)",
        {name: name for name in ("visual.", "projection", "text.", "logit_scale")},
    ),
    Layout(
        "embeddings.patch_embedding.weight",
        r"encoder\.layers\.(\d+)\.(.*)",
        {
            "embeddings.patch_embedding.": "patch_embedding.",
            "embeddings.class_embedding": "class_embedding",
            "embeddings.position_embedding.weight": "position_embedding",
            "class_pos_emb": "class_angles",
            "pre_layrnorm.": "ln_pre.",
            "post_layernorm.": "ln_post.",
            "layer_norm1.": "ln_1.",
            "layer_norm2.": "ln_2.",
            "self_attn.out_proj.": "out.",
            "self_attn.": "",
            "mlp.fc1.": "mlp_in.",
            "mlp.fc2.": "mlp_out.",
        },
    ),
    Layout(
        "conv1.weight",
        r"transformer\.resblocks\.(\d+)\.(.*)",
        {
            "conv1.": "patch_embedding.",
            "class_embedding": "class_embedding",
            "positional_embedding": "position_embedding",
            "ln_pre.": "ln_pre.",
            "ln_post.": "ln_post.",
            "ln_1.": "ln_1.",
            "ln_2.": "ln_2.",
            "attn.in_proj_": "qkv.",
            "attn.out_proj.": "out.",
            "mlp.c_fc.": "mlp_in.",
            "mlp.c_proj.": "mlp_out.",
        },
    ),
    Layout(
        "patch_embed.proj.weight",
        r"blocks\.(\d+)\.(.*)",
        {
            "patch_embed.proj.": "patch_embedding.",
            "cls_token": "class_embedding",
            "pos_embed": "position_embedding",
            "norm_pre.": "ln_pre.",
            "norm.": "ln_post.",
            "norm1.": "ln_1.",
            "norm2.": "ln_2.",
            "attn.qkv.": "qkv.",
            "attn.proj.": "out.",
            "mlp.fc1.": "mlp_in.",
            "mlp.fc2.": "mlp_out.",
        },
    ),
)


@dataclass(frozen=True)
class Start:
    """Weights to start from, by this project's names. vision: the shape of the tower that they are of. left: names of
    the model's tensors that have no place here. fingerprint: the encoder's."""

    state: Mapping[str, Tensor]
    vision: VisionConfig
    left: tuple[str, ...]
    fingerprint: str


def read_start(config: ModelConfig) -> Start:
    """Load config.init. Raises ConfigError unless its image tower has the shape of config.vision, but for image_size,
    and computes the same features as the model that it comes from."""
    assert config.init is not None
    encoder = load_encoder(config.init)
    start = converted(encoder, config.init)
    wanted = config.vision.model_copy(update={"image_size": start.vision.image_size})
    if wanted != start.vision:
        theirs, ours = start.vision.model_dump(), wanted.model_dump()
        differ = [key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key)]
        shape = ", ".join(f"{key}: {getattr(start.vision, key)}" for key in VisionConfig.model_fields)
        raise ConfigError(
            f"model.vision: {', '.join(f'{key} is {getattr(wanted, key)}' for key in differ)}, but the image tower of "
            f"model.init {config.init!r} has {', '.join(f'{key} {getattr(start.vision, key)}' for key in differ)}: "
            f"expected vision: {{{shape}}}, with any image_size"
        )
    _check_features(encoder, start, config.init)
    return start


def load_start(model: DualEncoder, start: Start) -> tuple[str, ...]:
    """Copy what fits into the model, positions interpolated to its grid. Return the names of the model's own parameters
    that keep their random values."""
    state = dict(start.state)
    if POSITIONS in state:
        state[POSITIONS] = resized_positions(state[POSITIONS], (model.config.vision.grid,) * 2)
    ours = model.state_dict()
    fits = {name: tensor for name, tensor in state.items() if name in ours and tensor.shape == ours[name].shape}
    model.load_state_dict(fits, strict=False)
    return tuple(name for name in ours if name not in fits)


def converted(encoder: Encoder, spec: str) -> Start:
    """The weights of an encoder's image tower, by this project's names. Raises ConfigError if it is no ViT of attention
    blocks whose tensors one of the layouts knows."""
    model = getattr(encoder, "model", None)
    tensors = {} if not isinstance(model, nn.Module) else dict(model.state_dict())
    layout = next((layout for layout in LAYOUTS if any(name.endswith(layout.patches) for name in tensors)), None)
    if layout is None or not isinstance(model, nn.Module):
        raise ConfigError(
            f"model.init {spec!r} is a {type(encoder).__name__} without a ViT's patch embedding: expected a checkpoint "
            "of this project, a CLIPVisionModel or MLCDVisionModel of transformers, or a ViT of open_clip or timm"
        )
    prefix = next(name for name in tensors if name.endswith(layout.patches)).removesuffix(layout.patches)
    own = layout is LAYOUTS[0]
    renamed = {name: _name(name.removeprefix(prefix), layout) for name in tensors if name.startswith(prefix)}
    state = {ours if own else f"visual.{ours}": tensors[name] for name, ours in renamed.items() if ours is not None}
    tower = model.get_submodule((prefix + ("visual" if own else "")).rstrip("."))
    state = _in_our_shape(state)
    left = tuple(name for name in tensors if renamed.get(name) is None)
    return Start(state, _shape(state, tower, encoder, spec), left, encoder.info.fingerprint)


def _name(name: str, layout: Layout) -> str | None:
    block = re.fullmatch(layout.block, name)
    rest = block[2] if block else name
    if block and layout is LAYOUTS[0]:
        return name
    for beginning, ours in layout.names.items():
        if rest == beginning or (beginning.endswith((".", "_")) and rest.startswith(beginning)):
            renamed = ours + rest.removeprefix(beginning)
            return f"blocks.{block[1]}.{renamed}" if block else renamed
    return None


def _in_our_shape(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Join separate projections of attention, drop dimensions of 1, and add a patch embedding's bias to positions."""
    joined: dict[str, Tensor] = {}
    for name, tensor in state.items():
        stem, _, part = name.rpartition(".")
        if stem.endswith(("q_proj", "k_proj", "v_proj")):
            if stem.endswith("q_proj"):
                places = [f"{stem.removesuffix('q_proj')}{letter}_proj.{part}" for letter in "qkv"]
                joined[f"{stem.removesuffix('q_proj')}qkv.{part}"] = torch.cat([state[place] for place in places])
        elif name == "visual.class_embedding":
            joined[name] = tensor.flatten()
        else:
            joined[name] = tensor.reshape(-1, tensor.shape[-1]) if name == POSITIONS else tensor
    bias = joined.pop("visual.patch_embedding.bias", None)
    if bias is not None and POSITIONS in joined:
        positions = joined[POSITIONS]
        joined[POSITIONS] = torch.cat([positions[:1], positions[1:] + bias])
    return joined


def _shape(state: Mapping[str, Tensor], tower: nn.Module, encoder: Encoder, spec: str) -> VisionConfig:
    """Read the tower's shape off its tensors and modules."""
    modules = list(tower.modules())
    heads = next((m.num_heads if hasattr(m, "num_heads") else m.heads for m in modules if hasattr(m, "num_heads") or
                  hasattr(m, "heads")), None)  # fmt: skip
    kinds = [type(module).__name__.lower() for module in modules]
    norms = [module for module in modules if isinstance(module, nn.LayerNorm)]
    first = "visual.blocks.0.mlp_in.weight"
    if not isinstance(heads, int) or not norms or first not in state or not any("gelu" in kind for kind in kinds):
        raise ConfigError(f"model.init {spec!r}: its image tower is no ViT of attention blocks with GELU")
    width, _, patch, _ = state["visual.patch_embedding.weight"].shape
    blocks = {name.split(".")[2] for name in state if name.startswith("visual.blocks.")}
    return VisionConfig(
        image_size=encoder.info.image_size[0],
        patch_size=patch,
        width=width,
        depth=len(blocks),
        heads=heads,
        mlp_ratio=len(state[first]) / width,
        activation="quick_gelu" if any("quick" in kind for kind in kinds) else "gelu",
        positions="absolute" if POSITIONS in state else "rope2d",
        pre_norm="visual.ln_pre.weight" in state,
        norm_eps=norms[-1].eps,
    )


def _check_features(encoder: Encoder, start: Start, spec: str) -> None:
    """Raise ConfigError unless this project's tower with the weights gives the encoder's features of an image."""
    config = CheckpointConfig(vision=start.vision, preprocess=Preprocess(image_size=start.vision.image_size))
    model = DualEncoder(config).eval()
    missing = [name for name in load_start(model, start) if name.startswith("visual.")]
    if missing:
        raise ConfigError(f"model.init {spec!r} lacks weights of this project's ViT: {', '.join(missing[:5])}")
    with torch.inference_mode():
        pixels = encoder.preprocess(fixed_image())[None]
        ours = dict(zip((PENULTIMATE, PATCHES), model.visual(pixels), strict=True))
        layers = [layer for layer in ours if layer in encoder.info.layers]
        theirs = encoder.encode_images(pixels, layers)
    gaps = {
        layer: float((theirs[layer].float() - ours[layer]).abs().max() / ours[layer].abs().max())
        for layer in layers
        if theirs[layer].shape == ours[layer].shape
    }
    if not gaps or min(gaps.values()) > TOLERANCE:
        found = ", ".join(f"{layer} differ by {gap:.2g} of the largest value" for layer, gap in gaps.items())
        unused = ", ".join(start.left[:5]) or "none"
        raise ConfigError(
            f"model.init {spec!r}: this project's ViT with its weights is another model ({found or 'other shapes'}), "
            f"expected a class token, pre-norm blocks and nothing else; weights without a place: {unused}"
        )
