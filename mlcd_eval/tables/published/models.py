"""The models of the atlas: which names of different sources are the same weights, and how large they are."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mlcd_eval.support.bundled import published_dir
from mlcd_eval.support.documents import read_json


@dataclass(frozen=True, slots=True)
class Model:
    """One set of weights.

    key: NAME/TAG of open_clip where it has them, else the name on the hub, else the printed name. params_m,
    image_params_m: parameters in millions, of both towers and of the image tower; gflops, image_gflops: of one image
    and one text, of one image; None where unknown. names: source -> the names that it has there.
    """

    key: str
    open_clip: tuple[str, str] | None = None
    hub: str | None = None
    architecture: str | None = None
    pretraining: str | None = None
    params_m: float | None = None
    image_params_m: float | None = None
    gflops: float | None = None
    image_gflops: float | None = None
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)


@functools.cache
def models() -> Mapping[str, Model]:
    """Every model by its key."""
    rows: list[dict[str, Any]] = read_json(published_dir() / "atlas/models.json")["models"]
    known = {}
    for row in rows:
        names = {source: tuple(several) for source, several in row.pop("names").items()}
        pair = row.pop("open_clip")
        known[row["key"]] = Model(**row, open_clip=tuple(pair) if pair else None, names=names)
    return known


@functools.cache
def _by_paper_name() -> Mapping[str, Model]:
    return {name: model for model in models().values() for name in model.names.get("papers", ())}


def of_paper_row(name: str, architecture: str | None, pretraining: str | None) -> Model | None:
    """The model of a row of a paper's table, None where it is not certain which weights it has."""
    return _by_paper_name().get(f"{name}|{architecture}|{pretraining}")


@functools.cache
def of_spec(spec: str, name: str) -> Model | None:
    """The model that a record's spec or name means; None where the atlas does not know it.

    Other weights of an architecture of open_clip have its sizes, and a key of their own.
    """
    target = spec.removeprefix("open_clip:").removeprefix("hf:").removeprefix("hf-hub:").partition("?")[0]
    known = models()
    for text in (target, name):
        if text in known:
            return known[text]
    for model in known.values():
        if target == model.hub:
            return model
    architecture = target.partition("/")[0]
    if not spec.startswith("open_clip:"):
        return None
    same = next((model for model in known.values() if model.architecture == architecture), None)
    return None if same is None else replace(same, key=spec, open_clip=None, hub=None, pretraining=None, names={})
