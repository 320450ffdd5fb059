"""The names that model libraries know, read from their files: importing them would import torch.

Each function returns nothing where its library is not installed, or has another form than the one read here; then
nothing is checked before the model is loaded.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from pathlib import Path


def open_clip_architectures() -> list[str]:
    """The names of open_clip's configs."""
    return sorted(config.stem for config in _files("open_clip", "model_configs/*.json"))


@functools.cache
def open_clip_tags() -> dict[str, list[str]]:
    """Architecture -> tags of its published weights, from the dict displays of open_clip/pretrained.py.

    An architecture with the suffix -quickgelu has those of its architecture's tags that were trained so.
    """
    tags: dict[str, dict[str, bool]] = {}
    for path in _files("open_clip", "pretrained.py"):
        assigned = {
            target.id: node.value
            for node in ast.parse(path.read_text(encoding="utf-8")).body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for name, value in _entries(assigned.get("_PRETRAINED")).items():
            entries = _entries(assigned.get(value.id) if isinstance(value, ast.Name) else value)
            tags[name] = {tag: "quick_gelu" in _entries(config) for tag, config in entries.items()}
    listed = {name: list(of_name) for name, of_name in tags.items()}
    quick = {f"{name}-quickgelu": [tag for tag in of_name if of_name[tag]] for name, of_name in tags.items()}
    return listed | {name: of_name for name, of_name in quick.items() if of_name}


@functools.cache
def timm_models() -> dict[str, set[str]]:
    """Model -> tags of its published weights; a deprecated name has none of its own."""
    models: dict[str, set[str]] = {}
    for path in _files("timm", "models/*.py"):
        source = path.read_text(encoding="utf-8")
        for name in re.findall(r"^@register_model\s+def (\w+)\(", source, re.MULTILINE):
            models.setdefault(name, set())
        for deprecated in re.findall(r"register_model_deprecations\(__name__, \{(.*?)\}\)", source, re.DOTALL):
            models |= {name: set() for name in re.findall(r"'([\w.]+)'\s*:", deprecated)}
        for name, tag in re.findall(r"['\"](\w+)\.(\w+)['\"]\s*:", source):
            models.setdefault(name, set()).add(tag)
    return models


@functools.cache
def torchvision_models() -> dict[str, list[str]]:
    """Classification model -> members of its enum of weights."""
    models: dict[str, list[str]] = {}
    for path in _files("torchvision", "models/*.py"):
        source = path.read_text(encoding="utf-8")
        enums = {
            name: re.findall(r"^    (\w+) = Weights\(", body, re.MULTILINE)
            for name, body in re.findall(
                r"^class (\w+)\(WeightsEnum\):\n(.*?)(?=^\S)", source, re.DOTALL | re.MULTILINE
            )
        }
        for name, enum in re.findall(
            r"^@register_model\(\).*?^def (\w+)\(.*?weights: Optional\[(\w+)\]", source, re.DOTALL | re.MULTILINE
        ):
            models[name] = enums.get(enum, [])
    return models


def _files(package: str, pattern: str) -> list[Path]:
    module = importlib.util.find_spec(package)
    if module is None or module.origin is None:
        return []
    return sorted(Path(module.origin).parent.glob(pattern))


def _entries(node: ast.expr | None) -> dict[str, ast.expr]:
    """Keys and values of a dict display or of the keywords of a call."""
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}
    if isinstance(node, ast.Call):
        return {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg is not None}
    return {}
