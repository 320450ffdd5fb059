"""The sections of a training config, but for the objective: each is a typed model that refuses unknown keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mlcd_eval.encoders.towers.text_transformer import TEXT_SIZES, TextConfig
from mlcd_eval.encoders.towers.vit import VIT_SIZES, VisionConfig
from mlcd_eval.errors import nearest

Precision = Literal["fp32", "bf16", "fp16"]
ContrastLoss = Literal["softmax", "sigmoid"]
Fraction = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Beta = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
LABELS = "labels"  # name of the labels where there is one set of them


class Section(BaseModel):
    """Settings of one thing: immutable, without unknown keys, every number finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Augmentation(Section):
    """Random resized crop and flip. scale: of the crop's area; ratio: of its sides; flip: probability."""

    scale: tuple[Fraction, Fraction] = (0.4, 1.0)
    ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    flip: Annotated[float, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _ordered(self) -> Augmentation:
        if self.scale[0] > self.scale[1] or self.ratio[0] > self.ratio[1]:
            raise ValueError(f"expected scale and ratio as [low, high], got {self.scale} and {self.ratio}")
        return self


class DataConfig(Section):
    """train: a data set as `mlcd-eval --dataset` takes it, or a list of them; tar files may also be in buckets (s3://,
    gs://). An image is required; a caption only for clip, lit and text features.

    split: by default train, or the only one. streams: number of streams that shards are dealt to, each read by the
    ranks that need it, so that the order of samples does not depend on the number of ranks; by default at most 64 that
    share the batch. shuffle: number of samples, over all streams, that are held to draw from. workers: reading and
    decoding processes per rank. decoder: `pil` is exact, `torch` faster (docs/training.md). allow_bad: share of the
    samples that may be bad (undecodable, too small, too long, or without a caption where one is read); in training each
    is replaced by another of its stream. min_side: pixels of the shorter side, below which an image is too small.
    shard_cache: GiB of this machine's disk for copies of remote tar files.
    """

    train: str | Annotated[tuple[str, ...], Field(min_length=1)]
    split: str | None = None
    streams: Count | None = None
    shuffle: Count = 10_000
    workers: Annotated[int, Field(ge=0)] = 0
    decoder: Literal["pil", "torch"] = "pil"
    augmentation: Augmentation = Augmentation()
    allow_bad: Annotated[float, Field(ge=0, lt=1)] = 0.01
    min_side: Count = 8
    shard_cache: Positive = 50.0

    @model_validator(mode="before")
    @classmethod
    def _share_of_bad(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "allow_bad_images" in values:
            raise ValueError(
                f"no allow_bad_images (got {values['allow_bad_images']!r}), which has become allow_bad, a share of the "
                "samples: write allow_bad: 0.01 for one in a hundred"
            )
        return values


class EmbedConfig(Section):
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


class ClusterConfig(Section):
    """Spherical k-means into k centres. batch: rows per step of the mini-batch mode; without it every iteration sees
    all rows. search: rows are compared with all centres (exact), or with those of the nearest groups of centres, 1.6%
    of a million (grouped)."""

    k: Count
    start: Literal["sample", "k-means++"] = "sample"
    iterations: Count = 20
    tolerance: NotNegative = 1e-4
    batch: Count | None = None
    search: Literal["exact", "grouped"] = "exact"

    @model_validator(mode="after")
    def _groups_last(self) -> ClusterConfig:
        if self.search == "grouped" and self.batch is not None:
            raise ValueError("search: exact with batch, since groups of centres are made anew for every batch")
        return self


class LabelConfig(Section):
    """labels: l, the number of nearest cluster centres per image; or labels that need no clusters: the `words` or
    `tokens` of captions, the words in images (`ocr`), or those of a file (docs/training.md). threshold: only centres at
    least as similar (table 5d). vocabulary: only this many names, the most frequent, are classes."""

    labels: Count | Literal["words", "tokens", "ocr"] | Path = 8
    threshold: Annotated[float, Field(ge=-1, le=1)] | None = None
    vocabulary: Annotated[int, Field(ge=2)] | None = None

    @property
    def nearest(self) -> int | None:
        """l, None where labels do not come from clusters."""
        return self.labels if isinstance(self.labels, int) else None

    @model_validator(mode="after")
    def _of_its_source(self) -> LabelConfig:
        if self.nearest is None and self.threshold is not None:
            raise ValueError(f"no threshold with labels {self.labels}, which are no nearest centres")
        if self.nearest is not None and self.vocabulary is not None:
            raise ValueError(f"no vocabulary with the {self.labels} nearest centres as labels")
        return self


class AssignConfig(LabelConfig):
    """One set of labels, or in `heads` several, each with a name, for the objective `heads`."""

    heads: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], LabelConfig] = {}

    @property
    def sets(self) -> dict[str, LabelConfig]:
        """Each set of labels by its name, which is also that of its folder."""
        return self.heads or {LABELS: self}

    @property
    def keys(self) -> dict[str, str]:
        """Of each set, the key of the config where its labels stand."""
        return {name: f"assign.heads.{name}.labels" if self.heads else "assign.labels" for name in self.sets}

    @model_validator(mode="after")
    def _one_or_several(self) -> AssignConfig:
        if self.heads and (own := sorted(self.model_fields_set - {"heads"})):
            raise ValueError(f"no {own[0]} beside heads, each of which has its own")
        return self


class ModelConfig(Section):
    """vision, text: a size by name, or one with changed fields, `{size: vit_tiny_16_64, positions: rope2d}`.

    embed_dim: dimension of the space in which the objective works; None leaves the tower without a projection.
    init: an encoder spec of mlcd-eval whose image tower has the shape of `vision`, to start from instead of random
    weights. image_size may differ: positions are interpolated.
    """

    init: str | None = None
    vision: VisionConfig
    text: TextConfig | None = None
    embed_dim: Count | None = None

    @field_validator("vision", mode="before")
    @classmethod
    def _vision(cls, value: Any) -> Any:
        return sized(value, VIT_SIZES)

    @field_validator("text", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return sized(value, TEXT_SIZES)


def sized(value: Any, sizes: dict[str, Any]) -> Any:
    """The fields of a named size with the changes beside its name; what names no size is returned unchanged."""
    name = value.get("size") if isinstance(value, dict) else value
    if not isinstance(name, str):
        return value
    if name not in sizes:
        raise ValueError(f"one of {', '.join(sizes)}{nearest(name, sizes)}")
    changes = {key: change for key, change in value.items() if key != "size"} if isinstance(value, dict) else {}
    return {**sizes[name].model_dump(), **changes}


class OptimizerConfig(Section):
    """AdamW. Gains, biases and embeddings of single vectors do not decay.

    warmup: steps of a linear rise to lr. schedule: afterwards half a cosine down to min_lr, a constant lr, or a
    constant lr with a linear fall to min_lr in the last `cooldown` of all steps (wsd: Hu et al. 2024, arXiv
    2404.06395; Haegele et al. 2024, arXiv 2405.18392). layer_decay: the lr of a tower's block is this times that of
    the block after it (BEiT, Bao et al. 2022, arXiv 2106.08254). grad_clip: largest norm of the model's gradient (not
    of the class centres'), None for no limit.
    """

    lr: Positive = 5e-4
    weight_decay: NotNegative = 0.2
    betas: tuple[Beta, Beta] = (0.9, 0.98)
    eps: Positive = 1e-6
    warmup: Annotated[int, Field(ge=0)] = 2000
    schedule: Literal["cosine", "constant", "wsd"] = "cosine"
    cooldown: Fraction = 0.2
    min_lr: NotNegative = 0.0
    layer_decay: Fraction = 1.0
    grad_clip: Positive | None = 1.0


class EvaluateConfig(Section):
    """Tasks of mlcd-eval, run on the current model after every `every` steps. keep: keep the checkpoints that are
    evaluated, in `checkpoints`; with keep there may be no tasks, for `mlcd-eval watch` to run some."""

    every: Count
    tasks: tuple[str, ...] = ()
    keep: bool = False
    data_root: Path | None = None

    @model_validator(mode="after")
    def _not_for_nothing(self) -> EvaluateConfig:
        if not self.tasks and not self.keep:
            raise ValueError("tasks, or keep: true, got neither")
        return self


class LoopConfig(Section):
    """What fit and lit share. batch_size: over all ranks and accumulated parts; steps or epochs, not both.

    keep: number of training states that stay on disk. ema: decay of a running mean of the weights, which is then the
    result. log_to: experiment trackers that get what log.jsonl gets, such as [wandb] (those of `mlcd-eval run
    --log-to`). profile: steps of which a trace is written (profiling.py). Both are also flags of `mlcd-train run`.
    shard: `fsdp` shards the towers' parameters, gradients and moments over ranks, for models that fill a GPU.
    """

    batch_size: Count = 256
    epochs: Positive | None = None
    steps: Count | None = None
    accumulation: Count = 1
    optimizer: OptimizerConfig = OptimizerConfig()
    precision: Precision = "fp32"
    activation_checkpointing: bool = False
    compile: bool = False
    shard: Literal["none", "fsdp"] = "none"
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    save_every: Count = 1000
    keep: Count = 2
    log_every: Count = 10
    log_to: tuple[str, ...] = ()
    profile: Annotated[int, Field(ge=0)] = 0
    evaluate: EvaluateConfig | None = None

    @model_validator(mode="after")
    def _length(self) -> LoopConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError(f"either epochs or steps, got epochs {self.epochs} and steps {self.steps}")
        if self.batch_size % self.accumulation:
            raise ValueError(f"accumulation that divides batch_size, got {self.accumulation} and {self.batch_size}")
        if self.shard == "fsdp" and self.precision == "fp16":
            raise ValueError("precision: bf16 or fp32 with shard: fsdp, got fp16")
        return self
