"""Loads a model of transformers by the class that its config names."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import torch
import transformers

from mlcd_eval.encoders.adapters.hf.context import context_length
from mlcd_eval.encoders.adapters.hf.encoder import HFEncoder
from mlcd_eval.encoders.adapters.hf.texts import Texts, tokenizer_of
from mlcd_eval.encoders.adapters.hf.transform import ImageTransform, transform_of
from mlcd_eval.encoders.base import Encoder
from mlcd_eval.encoders.bounds import check_model
from mlcd_eval.encoders.families.choice import Choice, choose
from mlcd_eval.encoders.places import pretrained_name
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.encoders.weights import as_checkpoint_error
from mlcd_eval.errors import CheckpointError, ConfigError, IncompatibleError

_TOWER_PREFIX = r"^(?:model\.)?(?:vision_tower|vision_model|vision_encoder|visual)\.(?:vision_model\.)?"


@as_checkpoint_error
def load(spec: Spec) -> Encoder:
    """Model, image processor and (for two towers) tokenizer. The class is chosen by name before any code that a
    repository ships runs, which it does only with --trust-remote-code."""
    where = pretrained_name(spec.target)
    hub = {"local_files_only": spec.offline}
    config, _ = transformers.PreTrainedConfig.get_config_dict(where, **hub)
    check_model(f"--model {spec.text!r}: its config", config)
    choice = choose(config, spec)
    if choice.remote and not spec.trust_remote_code:
        raise ConfigError(
            f"--model {spec.text!r} runs code that its repository ships (class {choice.name}): "
            "expected --trust-remote-code"
        )
    options = {**hub, "trust_remote_code": spec.trust_remote_code}
    model, missing = _model(spec, where, choice, config, options if choice.remote else hub)
    pooler = [key for key in missing if "pooler." in key]
    _expect_none(spec, choice, [key for key in missing if key not in pooler])
    transform = transform_of(spec, where, choice.family, options)
    tokenizer = tokenizer_of(where, options) if choice.family.text is not None else None
    texts = _texts(spec, model, choice, tokenizer)
    return HFEncoder(spec, model, choice, transform, texts, has_pooler=not pooler)


def encoder_of(spec: Spec, model: Any, processor: Any, tokenizer: Any = None) -> HFEncoder:
    """A model object of transformers with its image processor, and its tokenizer for texts. Settings of its config that
    a frozen model needs, such as MAE's mask_ratio of 0, are set.

    Raises IncompatibleError for a class that cannot be read.
    """
    choice = choose({**model.config.to_dict(), "architectures": [type(model).__name__]}, spec)
    tower = model if type(model).__name__ == choice.name else model.base_model
    for name, value in choice.family.config.items():
        if hasattr(tower.config, name):
            setattr(tower.config, name, value)
    texts = _texts(spec, tower, choice, "was given without a tokenizer" if tokenizer is None else tokenizer)
    return HFEncoder(spec, tower, choice, ImageTransform(processor), texts)


def _model(
    spec: Spec, where: str, choice: Choice, config: dict[str, Any], options: dict[str, Any]
) -> tuple[Any, Iterable[str]]:
    """The model in fp32 and the names of its weights that the files lack."""
    settings: dict[str, Any] = {**options, **choice.family.config, "dtype": torch.float32, "output_loading_info": True}
    if choice.remote:
        adaptor = {"adaptor_names": [spec.options["adaptor"]]} if "adaptor" in spec.options else {}
        model, info = transformers.AutoModel.from_pretrained(where, **settings, **adaptor)
        return model, info["missing_keys"]
    cls = getattr(transformers, choice.name, None)
    if cls is None:
        raise IncompatibleError(
            f"--model {spec.text!r}: transformers {transformers.__version__} has no {choice.name}, expected a newer one"
        )
    if "Vision" in choice.name:
        settings["key_mapping"] = {_TOWER_PREFIX: ""}
    if choice.part is not None:
        settings["config"] = cls.config_class(**config[choice.part])
    model, info = cls.from_pretrained(where, **settings)
    return model, info["missing_keys"]


def _expect_none(spec: Spec, choice: Choice, missing: list[str]) -> None:
    if missing:
        raise CheckpointError(
            f"--model {spec.text!r} holds weights of another architecture: {len(missing)} tensors of "
            f"{choice.name} are missing, first {min(missing)}"
        )


def _texts(spec: Spec, model: Any, choice: Choice, tokenizer: Any) -> Texts | str | None:
    """None without a text tower, a text that says why texts cannot be encoded for other reasons."""
    recipe = choice.family.text
    if recipe is None and "context" in spec.options:
        raise IncompatibleError(
            f"--model {spec.text!r}: got context={spec.options['context']}, which is of a text tower: expected a model "
            "with one"
        )
    if recipe is None or isinstance(tokenizer, str):
        return None if recipe is None else tokenizer
    try:
        return Texts(tokenizer, recipe, context_length(spec, model, recipe), spec.options.get("clean"))
    except ValueError as error:
        return f"has a tokenizer that cannot be used ({textwrap.shorten(str(error), 300, placeholder=' ...')})"
