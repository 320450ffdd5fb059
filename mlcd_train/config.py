"""What a training run is: one typed file. Unknown keys are refused, impossible combinations fail when it is read."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mlcd_eval.encoders.towers.text_transformer import TEXT_SIZES, TextConfig
from mlcd_eval.encoders.towers.vit import VIT_SIZES, VisionConfig
from mlcd_eval.errors import ConfigError, nearest
from mlcd_eval.spec import validated
from mlcd_eval.spec.safe_yaml import read_yaml

Objective = Literal["mlcd", "mlc", "cluster", "clip"]
Precision = Literal["fp32", "bf16", "fp16"]
Share = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Beta = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]

STAGES = ("embed", "cluster", "assign", "fit", "lit", "export")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Augmentation(_Section):
    """Random resized crop and flip. scale: of the crop's area; ratio: of its sides; flip: probability."""

    scale: tuple[Share, Share] = (0.4, 1.0)
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    flip: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Augmentation:
        if self.scale[0] > self.scale[1] or self.ratio[0] > self.ratio[1]:
            raise ValueError(f"expected scale and ratio as [low, high], got {self.scale} and {self.ratio}")
        return self


class DataConfig(_Section):
    """train: a data set as `mlcd-eval --dataset` takes it, with captions for clip, lit and text features.

    streams: shards are dealt to so many streams, each read by the ranks that need it, so that the order of samples does
    not depend on the number of ranks; with many shards take a multiple of the ranks. shuffle: samples held by a stream
    to draw from. workers: processes that decode, for each rank. allow_bad_images: undecodable ones that a run bears;
    in training each gives way to the next good sample of its batch.
    """

    train: str
    split: str = "train"
    streams: Count = 1
    shuffle: Count = 10_000
    workers: Annotated[int, Field(ge=0)] = 0
    augmentation: Augmentation = Augmentation()
    allow_bad_images: Annotated[int, Field(ge=0)] = 0


class EmbedConfig(_Section):
    """Off-the-shelf features. model: an encoder spec of mlcd-eval. source: `mean` of the unit image and text features
    is UNICOM's. layer: of the image feature; with text it must be `projected`."""

    model: str
    source: Literal["image", "text", "mean"] = "image"
    layer: Literal["projected", "penultimate"] = "projected"
    precision: Precision = "fp32"
    batch_size: Count | None = None

    @model_validator(mode="after")
    def _joint(self) -> EmbedConfig:
        if self.source != "image" and self.layer != "projected":
            raise ValueError(
                f"layer: projected, the joint space, since source is {self.source!r} (got layer {self.layer!r})"
            )
        return self


class ClusterConfig(_Section):
    """Spherical k-means into k centres. batch: mini-batch mode with so many rows; without it rows are read in chunks as
    well."""

    k: Count
    start: Literal["sample", "k-means++"] = "sample"
    iterations: Count = 20
    tolerance: NotNegative = 1e-4
    batch: Count | None = None


class AssignConfig(_Section):
    """labels: l, the nearest centres of an image; threshold: only those at least as similar (table 5d)."""

    labels: Count = 8
    threshold: Annotated[float, Field(ge=-1, le=1)] | None = None


class ModelConfig(_Section):
    """vision, text: a size by name, or one with changed fields, `{size: vit_tiny_16_64, positions: rope2d}`.

    embed_dim: of the space in which the objective works; None leaves the tower without a projection.
    """

    vision: VisionConfig
    text: TextConfig | None = None
    embed_dim: Count | None = None

    @field_validator("vision", mode="before")
    @classmethod
    def _vision(cls, value: Any) -> Any:
        return _sized(value, VIT_SIZES)

    @field_validator("text", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return _sized(value, TEXT_SIZES)


def _sized(value: Any, sizes: dict[str, Any]) -> Any:
    """The fields of a named size, with the changes that stand beside its name."""
    name = value.get("size") if isinstance(value, dict) else value
    if not isinstance(name, str):
        return value
    if name not in sizes:
        raise ValueError(f"one of {', '.join(sizes)}{nearest(name, sizes)}")
    changes = {key: change for key, change in value.items() if key != "size"} if isinstance(value, dict) else {}
    return {**sizes[name].model_dump(), **changes}


class OptimizerConfig(_Section):
    """AdamW with linear warm-up and a cosine down to min_lr. grad_clip: largest norm of the model's gradient (not of
    the class centres'), None for no limit. Gains, biases and embeddings of single vectors do not decay."""

    lr: Positive = 5e-4
    weight_decay: NotNegative = 0.2
    betas: tuple[Beta, Beta] = (0.9, 0.98)
    eps: Positive = 1e-6
    warmup: Annotated[int, Field(ge=0)] = 2000
    min_lr: NotNegative = 0.0
    grad_clip: Positive | None = 1.0


class EvaluateConfig(_Section):
    """Every so many steps, tasks of mlcd-eval on the model as it stands."""

    every: Count
    tasks: tuple[str, ...]
    data_root: Path | None = None


class LoopConfig(_Section):
    """What fit and lit share. batch_size: over all ranks and accumulated parts; steps or epochs, not both.

    keep: training states that stay on disk. ema: decay of a running mean of the weights, which is then the result.
    """

    batch_size: Count = 256
    epochs: Positive | None = None
    steps: Count | None = None
    accumulation: Count = 1
    optimizer: OptimizerConfig = OptimizerConfig()
    precision: Precision = "fp32"
    activation_checkpointing: bool = False
    compile: bool = False
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    save_every: Count = 1000
    keep: Count = 2
    log_every: Count = 10
    evaluate: EvaluateConfig | None = None

    @model_validator(mode="after")
    def _length(self) -> LoopConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"either epochs or steps, got epochs {self.epochs} and steps {self.steps}")
        if self.batch_size % self.accumulation:
            raise ValueError(f"accumulation that divides batch_size, got {self.accumulation} and {self.batch_size}")
        return self


class FitConfig(LoopConfig):
    """ratio: r. A step draws r of all classes at random, and every positive of the whole batch is there besides, as in
    PartialFC: an image's negatives are all these but its own, a larger share than r (0.31 with r = 0.1, 1,000,000
    classes, batch 32,768 and 8 labels an image). margin and scale: of the cosine.

    centres: start from the clusters' (`clusters`, needs an embed_dim like theirs) or from N(0, 0.01) (`random`).
    centres_lr: factor on the learning rate of the class centres.
    """

    objective: Objective = "mlcd"
    ratio: Share = 0.1
    margin: Annotated[float, Field(ge=0, lt=math.pi)] = 0.3
    scale: Positive = 64.0
    centres: Literal["random", "clusters"] = "random"
    centres_lr: Positive = 1.0


class LitConfig(LoopConfig):
    """text: the tower to train from scratch. images: `cached` computes the locked tower's features once, without
    augmentation; `augmented` computes them at every step."""

    text: TextConfig
    images: Literal["cached", "augmented"] = "cached"

    @field_validator("text", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return _sized(value, TEXT_SIZES)


class TrainConfig(_Section):
    """A run. Everything it makes stands in `output`; the checkpoint in `output/name`, which is also the model's name in
    tables. Paths are relative to the working directory. cache: the feature store, by default mlcd-eval's."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    output: Path
    seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    cache: Path | None = None
    data: DataConfig
    embed: EmbedConfig | None = None
    cluster: ClusterConfig | None = None
    assign: AssignConfig | None = None
    model: ModelConfig
    fit: FitConfig
    lit: LitConfig | None = None

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        objective = self.fit.objective
        if self.name in STAGES:
            raise ValueError(f"another name than {self.name!r}, which is a stage's folder")
        if objective == "clip":
            self._check_clip()
        else:
            self._check_clusters()
        if self.lit and self.model.text:
            raise ValueError("no model.text beside lit, which brings the text tower (lit.text)")
        return self

    def _check_clip(self) -> None:
        for section in ("embed", "cluster", "assign", "lit"):
            if getattr(self, section) is not None:
                raise ValueError(f"no section {section} with fit.objective clip, which needs no clusters and no lit")
        if self.model.text is None or self.model.embed_dim is None:
            raise ValueError("model.text and model.embed_dim, since fit.objective is clip")

    def _check_clusters(self) -> None:
        objective = self.fit.objective
        for section in ("embed", "cluster", "assign"):
            if getattr(self, section) is None:
                raise ValueError(f"a section {section}, since fit.objective is {objective}")
        if self.model.text is not None:
            raise ValueError(f"no model.text with fit.objective {objective}: a text tower comes by lit")
        assert self.cluster is not None and self.assign is not None
        if self.assign.labels > self.cluster.k:
            raise ValueError(f"assign.labels at most cluster.k = {self.cluster.k}, got {self.assign.labels}")
        if objective == "cluster" and self.assign.labels != 1:
            raise ValueError(f"assign.labels: 1 with fit.objective cluster, got {self.assign.labels}")


def load_config(path: Path, changes: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML file and `section.key=value` changes on it. Raises ConfigError for whatever is wrong with them."""
    values = read_yaml(path)
    for change in changes:
        _apply(values, change)
    return validated(TrainConfig, values, str(path))


def _apply(values: dict[str, Any], change: str) -> None:
    keys, equals, text = change.partition("=")
    *sections, key = keys.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {change!r}: {section!r} is {inner!r}, expected a section")
        values = inner
    if not equals or not key:
        raise ConfigError(f"--set got {change!r}, expected SECTION.KEY=VALUE such as fit.optimizer.lr=1e-3")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {change!r}: the value is not plain YAML") from error
    values[key] = value


def digest(*sections: Any) -> str:
    """Identity of settings and of what they were applied to."""
    plain = [section.model_dump(mode="json") if isinstance(section, BaseModel) else section for section in sections]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
