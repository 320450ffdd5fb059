"""Checkpoints of this project: a folder with config.json and model.safetensors, which mlcd-train writes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import load_file
from torch import nn

from mlcd_eval.encoders.base import PATCHES, PENULTIMATE, PROJECTED, PROJECTED_PATCHES, Encoder, EncoderInfo
from mlcd_eval.encoders.blocks import Stack
from mlcd_eval.encoders.bounds import check_config
from mlcd_eval.encoders.identity import open_clip_tokenizer_settings, settings_digest
from mlcd_eval.encoders.layers import CLS, MEAN, BlockInfo
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.sharing import with_own_modules
from mlcd_eval.encoders.sizes import Sizes
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.towers.preprocess import Preprocess
from mlcd_eval.encoders.towers.text_transformer import TextConfig, TextTransformer
from mlcd_eval.encoders.towers.vit import VisionConfig, VisionTransformer
from mlcd_eval.encoders.value_patches import blocks_of
from mlcd_eval.encoders.weights import num_params, write_tensors
from mlcd_eval.errors import CheckpointError, nearest
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.fileio import write_text
from mlcd_eval.support.foreign import reading

FORMAT_VERSION: Literal[1] = 1


class CheckpointConfig(BaseModel):
    """The contents of config.json.

    embed_dim: dimension of the joint space, None for an image tower alone without projection.
    provenance: how the checkpoint was trained (config, seeds, versions, git commit); evaluation records copy it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: Literal[1] = FORMAT_VERSION
    vision: VisionConfig
    text: TextConfig | None = None
    embed_dim: int | None = None
    preprocess: Preprocess
    provenance: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> CheckpointConfig:
        if self.preprocess.image_size != self.vision.image_size:
            raise ValueError(
                f"preprocess.image_size is {self.preprocess.image_size}, expected vision.image_size = "
                f"{self.vision.image_size}"
            )
        return self


class DualEncoder(nn.Module):
    """An image tower and, where the config has them, a projection, a text tower and a temperature."""

    def __init__(self, config: CheckpointConfig) -> None:
        super().__init__()
        self.config = config
        self.visual = VisionTransformer(config.vision)
        self.projection: nn.Parameter | None = None
        if config.embed_dim is not None:
            self.projection = nn.Parameter(
                torch.randn(config.vision.width, config.embed_dim) * config.vision.width**-0.5
            )
        joint = config.embed_dim or config.vision.width
        self.text = TextTransformer(config.text, joint) if config.text else None
        self.logit_scale = nn.Parameter(torch.tensor(1 / 0.07).log()) if config.text else None

    def encode_image(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Every layer; without a projection and with a text tower (LiT), `projected` is the pooled feature itself."""
        pooled, patches = self.visual(pixels)
        outputs = {PENULTIMATE: pooled, PATCHES: patches}
        if self.projection is not None or self.text is not None:
            outputs[PROJECTED], outputs[PROJECTED_PATCHES] = self.to_joint(pooled), self.to_joint(patches)
        return outputs

    def to_joint(self, features: torch.Tensor) -> torch.Tensor:
        """(..., width) -> (..., D)."""
        return features if self.projection is None else features @ self.projection


def save_checkpoint(folder: Path, model: DualEncoder) -> None:
    """Write the folder under a temporary name and rename it; an older checkpoint of that name is replaced.

    If it is killed between two renames, the older one remains as `.NAME.old`, and the next call restores it.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = (folder.parent / f".{folder.name}.{end}" for end in ("tmp", "old"))
    if old.exists() and not folder.exists():
        old.rename(folder)
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    temporary.mkdir()
    try:
        write_text(temporary / "config.json", model.config.model_dump_json(indent=2) + "\n")
        write_tensors(temporary / "model.safetensors", model.state_dict())
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_checkpoint(folder: Path) -> DualEncoder:
    """The model in a checkpoint folder. Raises CheckpointError for whatever is wrong with the folder."""
    config = _read_config(folder / "config.json")
    model = DualEncoder(config)
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise CheckpointError(f"checkpoint {folder} has no model.safetensors (pickled weights are not read)")
    with reading(f"{weights} is damaged or not a safetensors file", CheckpointError):
        state = load_file(weights)
    _check_shapes(weights, state, model.state_dict())
    model.load_state_dict(state)
    return model


def _read_config(path: Path) -> CheckpointConfig:
    try:
        raw = read_json(path)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"no {path}, expected a checkpoint folder with config.json and model.safetensors"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if not isinstance(raw, dict) or "vision" not in raw:
        kind = raw.get("model_type", "no model_type") if isinstance(raw, dict) else type(raw).__name__
        raise CheckpointError(
            f"{path} is not a config of mlcd-train: got {kind}, expected format_version, vision and preprocess "
            f"(for a transformers model use hf:{path.parent}, for open_clip's open_clip:local-dir:{path.parent})"
        )
    if raw.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(f"{path} has format_version {raw.get('format_version')!r}, expected {FORMAT_VERSION}")
    check_config(str(path), raw)
    try:
        return CheckpointConfig.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CheckpointError(
            f"{path}: {where}: {first['msg']}{nearest(where, CheckpointConfig.model_fields)}"
        ) from error


def _check_shapes(path: Path, got: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    for name in sorted(set(got) | set(expected)):
        shapes = [str(tuple(side[name].shape)) if name in side else "no such tensor" for side in (got, expected)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(
                f"{path} holds weights of another architecture: {name}: got {shapes[0]}, config.json says {shapes[1]}"
            )


def load(spec: Spec) -> Encoder:
    """The encoder of a checkpoint folder, or of its model.safetensors."""
    path = Path(spec.target)
    if path.is_file() and path.name != "model.safetensors":
        raise CheckpointError(
            f"--model {spec.text!r} is a file without its config: expected the checkpoint folder, or "
            f"open_clip:ARCHITECTURE/{spec.text} for a state dict of open_clip"
        )
    return CheckpointEncoder(spec.text, load_checkpoint(path.parent if path.is_file() else path))


class CheckpointEncoder(TorchEncoder):
    """A DualEncoder behind the harness's interface; the trainer makes one from a model in memory."""

    reentrant = True

    def __init__(self, spec: str, model: DualEncoder) -> None:
        self.model = model.eval().requires_grad_(False)
        config = model.config
        self.preprocess = config.preprocess
        self._tokenizer = tokenizer(config.text) if config.text else None
        size = config.vision.image_size
        positions: Literal["interpolated", "native"] = (
            "interpolated" if config.vision.positions == "absolute" else "native"
        )
        layers = {PENULTIMATE: config.vision.width, PATCHES: config.vision.width}
        if config.embed_dim is not None or config.text is not None:
            layers[PROJECTED] = layers[PROJECTED_PATCHES] = config.embed_dim or config.vision.width
        blocks = BlockInfo(config.vision.depth, config.vision.width, (CLS, MEAN))
        self.stack = Stack("visual.blocks", "visual.ln_post", 1, blocks)
        self.info = EncoderInfo(
            spec=spec,
            name=model_name(spec),
            fingerprint=settings_digest(
                config.model_dump(mode="json", exclude={"provenance"}),
                self._tokenizer and open_clip_tokenizer_settings(self._tokenizer),
            ),
            preprocessing=str(config.preprocess),
            layers=layers,
            image_size=(size, size),
            num_params=num_params(model),
            has_text=config.text is not None,
            extra={**config.provenance, "pooling": "token"},
            blocks=blocks_of(self.stack, layers),
            sizes=Sizes(config.vision.patch_size, positions),
        )

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return self.model.encode_image(pixels)

    def _of_size(self, size: tuple[int, int]) -> CheckpointEncoder:
        other = with_own_modules(self)
        other.model.visual.take(size)
        return other

    def _to_joint(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.model.to_joint(tokens)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Texts -> (B, D) by open_clip's SimpleTokenizer and the text tower."""
        if self.model.text is None or self._tokenizer is None:
            return super().encode_texts(texts)
        return self.model.text(self._tokenizer(list(texts)).to(self.device))


def tokenizer(config: TextConfig) -> Callable[[list[str]], Any]:
    """open_clip's SimpleTokenizer: texts -> tokens (B, context_length)."""
    import open_clip  # here, since its import takes longer than PyTorch's and image towers need none of it

    return open_clip.SimpleTokenizer(context_length=config.context_length)
