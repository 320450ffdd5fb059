"""open_clip models: an architecture with a tag, a file or random weights, a hub repository or a local folder."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import open_clip
import torch
from torch import nn

from mlcd_eval.encoders.adapters.open_clip_texts import asked_context, counted, with_context
from mlcd_eval.encoders.adapters.open_clip_towers import ViTTower, tower_of
from mlcd_eval.encoders.adapters.open_clip_training import (
    Training,
    images_given,
    training_of,
    warn_of_another_activation,
)
from mlcd_eval.encoders.base import NO_TEXT, PATCHES, Encoder, EncoderInfo
from mlcd_eval.encoders.blocks import Stack, found_stack
from mlcd_eval.encoders.bounds import check_config
from mlcd_eval.encoders.identity import open_clip_tokenizer_settings, settings_digest
from mlcd_eval.encoders.places import prefixed
from mlcd_eval.encoders.pooling import pooling_of
from mlcd_eval.encoders.registry import model_name
from mlcd_eval.encoders.sharing import with_own_modules
from mlcd_eval.encoders.sizes import Sizes, sizes_of
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.state_dicts import StateDict, read_state_dict, substituted
from mlcd_eval.encoders.torch_encoder import TorchEncoder
from mlcd_eval.encoders.value_patches import blocks_of
from mlcd_eval.encoders.weights import as_checkpoint_error, check_vocabulary, num_params
from mlcd_eval.errors import CheckpointError
from mlcd_eval.support.documents import read_json
from mlcd_eval.support.foreign import reading, reason


@as_checkpoint_error
def load(spec: Spec) -> Encoder:
    """Build the model, its inference transform and its tokenizer by open_clip's factory."""
    _never_ask()
    source = _source(spec)
    config = _config(source.name)
    check_config(f"--model {spec.text!r}: its config", config)
    context = asked_context(spec, config["model_cfg"])
    if source.tag is not None:
        warn_of_another_activation(source.name, source.tag)
    state = _state_dict(spec, source)
    training = Training(images_given(spec), False, {})
    if source.tag is None and ":" not in source.name:
        training = training_of(spec, source.name, state is not None and state.of_openai, source.file is not None)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings(), _untrained_for_now():
        warnings.filterwarnings("ignore", message="QuickGELU mismatch")  # ours came before the download
        torch.manual_seed(spec.random_seed or 0)
        model, _, preprocess = open_clip.create_model_and_transforms(
            source.name,
            pretrained=source.tag,
            load_weights=source.file is None and spec.random_seed is None,
            force_quick_gelu=training.quick_gelu,
            pretrained_text=False,  # no text tower of transformers from the hub, which the weights would replace
            force_context_length=context,
            **training.images,
        )
    notes = {**spec.provenance, **training.notes}
    if source.file is not None:
        notes["read_from"] = _load_file(model, source.file, state)
    shape = with_context(config["model_cfg"], context)
    return OpenClipEncoder(spec, model, preprocess, _tokenizer(source.name, shape, spec), shape, notes)


@contextlib.contextmanager
def _untrained_for_now() -> Iterator[None]:
    """Keep open_clip from warning that a model has no weights: they come from a file, or were asked to be random."""

    def wanted(record: logging.LogRecord) -> bool:
        return "No pretrained weights loaded" not in record.getMessage()

    root = logging.getLogger()  # the one that open_clip's factory uses
    root.addFilter(wanted)
    try:
        yield
    finally:
        root.removeFilter(wanted)


@dataclass(frozen=True)
class _Source:
    """name: as open_clip's factory takes it; tag: of published weights; file: weights for the name's architecture."""

    name: str
    tag: str | None = None
    file: Path | None = None


def _source(spec: Spec) -> _Source:
    place = prefixed(spec.target)
    if place.path is not None and place.path.is_file():
        return _Source(f"local-dir:{place.path.parent}", file=place.path)
    if place.path is not None or place.repository is not None:
        _check_weights_file(spec)
        return _Source(spec.target)
    name, _, weights = spec.target.partition("/")
    if spec.random_seed is not None:
        return _Source(name)
    return _Source(name, file=Path(weights)) if Path(weights).is_file() else _Source(name, tag=weights)


def _state_dict(spec: Spec, source: _Source) -> StateDict | None:
    """What a file holds; None without one, and for big_vision's arrays, which open_clip reads itself."""
    if source.file is None or source.file.suffix in (".npz", ".npy"):
        return None
    return read_state_dict(source.file, spec.options.get("key"))


def _load_file(model: Any, file: Path, state: StateDict | None) -> str:
    """Load weights by open_clip, with its conversions of other projects' names; return where they were, for the
    record."""
    if state is None:
        open_clip.factory.load_checkpoint(model, str(file))
        return file.name
    state = state.fitted(model.state_dict())
    with substituted(open_clip.factory, "load_state_dict", lambda *_, **__: dict(state.tensors)):
        open_clip.factory.load_checkpoint(model, str(file))
    return state.source


def _never_ask() -> None:
    """Keep transformers, which open_clip uses for some towers, from asking on the terminal whether a repository's code
    may run: only --trust-remote-code allows that."""
    with contextlib.suppress(ImportError):
        from transformers import dynamic_module_utils

        dynamic_module_utils.TIME_OUT_REMOTE_CODE = 0


def _config(name: str) -> dict[str, Any]:
    """model_cfg, and for a folder or repository preprocess_cfg."""
    if name.startswith("local-dir:"):
        path = Path(name.removeprefix("local-dir:")) / "open_clip_config.json"
        try:
            config = read_json(path)
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
    elif name.startswith("hf-hub:"):
        config = open_clip.factory._get_hf_config(name.removeprefix("hf-hub:"))
    else:
        return {"model_cfg": open_clip.get_model_config(name)}
    if not isinstance(config, dict) or not isinstance(config.get("model_cfg"), dict):
        raise CheckpointError(
            f"{name} has an open_clip_config.json without model_cfg, expected one that open_clip wrote"
        )
    return config


def _tokenizer(name: str, config: Mapping[str, Any], spec: Spec) -> Any:
    """The tokenizer that open_clip chooses, or a text that says why there is none: images can be encoded all the same.

    `tokenizer_kwargs` of a folder's config cannot allow code to run: only the flag does. Files of a tokenizer in a
    folder must be right; a hub repository cannot be listed offline, so there every failure counts as none.
    """
    of_transformers = bool(config["text_cfg"].get("hf_tokenizer_name"))
    options = {"trust_remote_code": spec.trust_remote_code} if of_transformers else {}
    folder = prefixed(name).path
    if folder is not None and of_transformers and not any(folder.glob("tokenizer*.json")):
        return "has no tokenizer files in its folder (tokenizer_config.json, tokenizer.json)"
    try:
        with reading(f"--model {spec.text!r} cannot be loaded", CheckpointError):
            context = int(spec.options["context"]) if "context" in spec.options else None
            return open_clip.get_tokenizer(name, context_length=context, **options)
    except CheckpointError as error:
        if folder is not None:
            raise
        return f"has no tokenizer that can be loaded ({reason(error.__cause__ or error)})"


def _check_weights_file(spec: Spec) -> None:
    """Refuse a local folder without weights, which open_clip would leave at its random initialisation."""
    folder = prefixed(spec.target).path
    if (
        spec.random_seed is None
        and folder is not None
        and not any([*folder.glob("open_clip_*.safetensors"), *folder.glob("open_clip_*.bin")])
    ):
        raise CheckpointError(f"--model {spec.text!r}: no weights in {folder}, expected open_clip_model.safetensors")


class OpenClipEncoder(TorchEncoder):
    """penultimate: the pooled feature before the projection to the joint space. A ViT's is its pooled output after
    ln_post; a ModifiedResNet's is the attention pool before its output projection; a timm trunk's is the input of the
    head (the pooled feature itself where the model has no projection, as in SigLIP).
    """

    reentrant = True

    def __init__(
        self,
        spec: Spec,
        model: Any,
        preprocess: Any,
        tokenizer: Any,
        config: Mapping[str, Any],
        notes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.model = model.eval().requires_grad_(False)
        self.preprocess = preprocess
        self._tokenizer = None if isinstance(tokenizer, str) else tokenizer
        text = config.get("text_cfg", {})
        self._vocabulary = None if "hf_model_name" in text else text.get("vocab_size")
        parameters = num_params(model)  # before the tower takes the projection out
        self._image_tower = tower_of(model.visual, spec.text)
        size = model.visual.image_size
        height, width = (size, size) if isinstance(size, int) else size
        with torch.inference_mode():
            probe, self.stack = self._probed(model.visual, torch.zeros(1, 3, height, width))
        layers = {layer: tensor.shape[-1] for layer, tensor in probe.items()}
        self.info = EncoderInfo(
            spec=spec.text,
            name=model_name(spec.text),
            fingerprint=settings_digest(config, self._tokenizer and open_clip_tokenizer_settings(self._tokenizer)),
            preprocessing=" ".join(str(preprocess).split()),
            layers=layers,
            image_size=(height, width),
            num_params=parameters,
            has_text=self._tokenizer is not None,
            no_text=tokenizer if isinstance(tokenizer, str) else NO_TEXT,
            context_length=getattr(self._tokenizer, "context_length", None),
            extra={**notes, "pooling": pooling_of(getattr(model.visual, "trunk", model.visual))},
            blocks=blocks_of(self.stack, layers),
            sizes=self._sizes((height, width), probe.get(PATCHES)),
        )

    def _sizes(self, size: tuple[int, int], patches: torch.Tensor | None) -> Sizes | None:
        """Those of open_clip's own ViT; a ResNet's attention pool takes one size, a trunk of timm as well."""
        if not isinstance(self._image_tower, ViTTower):
            return None
        return sizes_of(size, patches, self.preprocess, "interpolated", self.model.visual.patch_size[0])

    def _of_size(self, size: tuple[int, int]) -> OpenClipEncoder:
        other = with_own_modules(self)
        tower = other._image_tower
        assert isinstance(tower, ViTTower), "others have no sizes"
        tower.take(size)
        return other

    def _probed(self, visual: nn.Module, pixels: torch.Tensor) -> tuple[Mapping[str, torch.Tensor], Stack | None]:
        """Return the layers of one image and the image tower's blocks."""
        trunk = getattr(visual, "trunk", None)
        grid = getattr(visual, "grid_size", None)
        return found_stack(
            self.model,
            "visual.transformer.resblocks" if trunk is None else "visual.trunk.blocks",
            lambda: self._image_tower(pixels),
            has_class=trunk is None or getattr(trunk, "cls_token", None) is not None,
            tokens_of_patches=grid and math.prod(grid),
        )

    def _layers(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        return self._image_tower(pixels)

    def _to_joint(self, tokens: torch.Tensor) -> torch.Tensor:
        assert isinstance(self._image_tower, ViTTower), "a tower with projected patches"
        return self._image_tower.to_joint(tokens)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """By the model's tokenizer (SigLIP's pads to full length and lower-cases) and text tower."""
        if self._tokenizer is None:
            return super().encode_texts(texts)
        tokens = self._tokenizer(list(texts))
        check_vocabulary(self.info.spec, int(tokens.max()), self._vocabulary)
        return self.model.encode_text(tokens.to(self.device))

    def count_tokens(self, texts: Sequence[str]) -> list[int] | None:
        """By the model's tokenizer."""
        return counted(self._tokenizer, texts)

    def to(self, device: torch.device, precision: str = "fp32") -> Encoder:
        """Move the weights, with the projection that was taken out; they stay fp32."""
        self._image_tower.to(device)
        return super().to(device, precision)
