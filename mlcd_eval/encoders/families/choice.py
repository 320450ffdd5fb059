"""Which class reads a model, by the names in its config alone: before code of a repository runs or weights are read."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlcd_eval.encoders.families.rows import FAMILIES, GENERIC, REMOTE, TOWERS, Family
from mlcd_eval.encoders.spec import Spec
from mlcd_eval.errors import ConfigError, IncompatibleError, nearest

POOLINGS = ("pooler", "cls", "mean")
_AUTO_CLASSES = ("AutoModel", "AutoModelForCausalLM")
_NOT_FEATURES = {
    *("conditional_detr", "dab-detr", "deformable_detr", "detr", "table-transformer", "yolos"),  # boxes
    *("depth_pro", "dpt", "glpn", "imagegpt", "swin2sr", "vitdet", "timm_backbone"),  # maps and other images
    *("timesformer", "videomae", "videoprism_vision_model", "vivit"),  # of clips of many frames
    *("llama4", "mllama"),  # model types of whole models
}
"""Model types that transformers lists as encoders of images, whose output is no feature of one image."""


@dataclass(frozen=True)
class Choice:
    """The class that reads a model.

    name: of a class of transformers, or with `remote` of one that the repository ships as code; part: the key of the
    config that describes the image tower, for a tower out of a larger model.
    """

    name: str
    family: Family
    remote: bool = False
    part: str | None = None


def choose(config: Mapping[str, Any], spec: Spec) -> Choice:
    """The choice for a config.json. Raises IncompatibleError for a class that has no row and is no image model of
    transformers, and ConfigError for options that do not apply."""
    if "tower" in spec.options:
        return _tower(config, spec)
    shipped = _shipped(config)
    _check_adaptor(config, spec)
    if shipped in REMOTE:
        return Choice(shipped, REMOTE[shipped], remote=True)
    architecture, model_type = _architecture(config), str(config.get("model_type"))
    name = _library_class(architecture, model_type)
    if name is not None:
        return Choice(name, FAMILIES.get(name, GENERIC))
    raise IncompatibleError(
        f"--model {spec.text!r}: got architecture {shipped or architecture or f'none and model type {model_type}'}, "
        f"expected one of {', '.join([*FAMILIES, *REMOTE])}, or another image model of transformers{_hint(config)}"
    )


def _check_adaptor(config: Mapping[str, Any], spec: Spec) -> None:
    """RADIO's config lists its adaptors."""
    wanted, known = spec.options.get("adaptor"), config.get("adaptor_configs") or {}
    if wanted is not None and wanted not in known:
        raise ConfigError(
            f"--model {spec.text!r}: got adaptor={wanted}, expected one of RADIO's: "
            f"{', '.join(sorted(known)) or 'this model has none'}{nearest(wanted, known)}"
        )


def _tower(config: Mapping[str, Any], spec: Spec) -> Choice:
    """The image tower of a larger model, by the part of its config that describes it."""
    part = config.get("vision_config")
    if not isinstance(part, Mapping):
        raise ConfigError(
            f"--model {spec.text!r}: got tower=vision for a config without vision_config, expected a model with text"
        )
    whole = str(config.get("model_type"))
    model_type = str(part.get("model_type") or TOWERS.get(whole) or f"{whole}_vision_model")
    names = [name for name, family in FAMILIES.items() if family.model_type == model_type]
    name = names[0] if names else image_classes().get(model_type)
    if name is None:
        raise IncompatibleError(
            f"--model {spec.text!r}: got an image tower of model type {model_type}, expected one of "
            f"{', '.join(family.model_type for name, family in FAMILIES.items() if 'Vision' in name)}"
        )
    return Choice(name, FAMILIES.get(name, GENERIC), part="vision_config")


def _shipped(config: Mapping[str, Any]) -> str:
    """The name of the class that the repository ships as code, empty where it ships none."""
    names = config.get("auto_map")
    names = names if isinstance(names, Mapping) else {}
    return next((str(names[key]).rpartition(".")[2] for key in _AUTO_CLASSES if key in names), "")


def _architecture(config: Mapping[str, Any]) -> str:
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""


def _library_class(architecture: str, model_type: str) -> str | None:
    """A row by its own name or another that it reads, then a row of the model type, then a class of transformers; an
    architecture of another family than its model type is none of them."""
    by_name = [name for name, family in FAMILIES.items() if architecture and architecture in (name, *family.also)]
    by_type = [name for name, family in FAMILIES.items() if model_type in (family.model_type, *family.also)]
    by_type += [image_classes()[model_type]] if not by_type and model_type in image_classes() else []
    related = [name for name in by_type if architecture.startswith(_stem(name)) or not architecture]
    return next(iter(by_name + related), None)


def _stem(name: str) -> str:
    return name.removesuffix("Model").removesuffix("Vision")


def _hint(config: Mapping[str, Any]) -> str:
    if isinstance(config.get("vision_config"), dict):
        return "; its image tower alone is read with ?tower=vision"
    return "; it is a model of timm, expected timm:" if "architecture" in config else ""


@lru_cache(maxsize=1)
def image_classes() -> dict[str, str]:
    """Model type -> class, for what transformers lists as encoders of images, read without importing it; empty where it
    is not installed."""
    package = importlib.util.find_spec("transformers")
    if package is None or package.origin is None:
        return {}
    tree = ast.parse((Path(package.origin).parent / "models/auto/modeling_auto.py").read_text(encoding="utf-8"))
    tables = {
        statement.targets[0].id: statement.value.args[0]
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.targets[0], ast.Name)
        and isinstance(statement.value, ast.Call)
        and statement.value.args
    }
    every, images = (
        dict(ast.literal_eval(tables[name])) for name in ("MODEL_MAPPING_NAMES", "MODEL_FOR_IMAGE_MAPPING_NAMES")
    )
    towers = {kind: name for kind, name in every.items() if kind.endswith("_vision_model")}
    return {kind: str(name) for kind, name in {**towers, **images}.items() if kind not in _NOT_FEATURES}
