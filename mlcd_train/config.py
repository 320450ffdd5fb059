"""What a training run is: one typed file. Unknown keys are refused, impossible combinations fail when it is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, field_validator, model_validator

from mlcd_eval.encoders.towers.text_transformer import TEXT_SIZES, TextConfig
from mlcd_eval.errors import ConfigError
from mlcd_eval.spec import validated
from mlcd_eval.support.documents import parse_yaml, read_yaml
from mlcd_train.data.commands import check_consent
from mlcd_train.objectives import OBJECTIVES, FitObjective, Mlcd
from mlcd_train.objectives.base import ObjectiveSettings
from mlcd_train.objectives.discrimination import ClusterSettings
from mlcd_train.sections import (
    AssignConfig,
    ClusterConfig,
    ContrastLoss,
    DataConfig,
    EmbedConfig,
    LabelConfig,
    LoopConfig,
    ModelConfig,
    Section,
    sized,
)

STAGES = ("embed", "cluster", "assign", "fit", "lit", "export")

SHORTHANDS = {"objective": "name", "vision": "size", "text": "size"}
"""Sections for which a name alone is enough, and the key that it is short for."""


class FitConfig(LoopConfig):
    """objective: its name, or its name with its own settings, `{name: mlcd, margin: 0.5}`.

    freeze: patterns of names of parameters that do not learn, such as `visual.patch_embedding*`. continue_from: a
    training state (or the folder of states, or of the stage) whose weights, moments and class centres this training
    starts from, with a schedule, batch, data or resolution of its own. drop_path: rate at which residual branches of
    the image tower's last block are dropped, less in earlier blocks. patch_dropout: share of an image's patches that
    are left out (train its last steps without, by continue_from).
    """

    objective: FitObjective = Mlcd()
    freeze: tuple[str, ...] = ()
    continue_from: Path | None = None
    drop_path: Annotated[float, Field(ge=0, lt=1)] = 0.0
    patch_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @field_validator("objective", mode="before")
    @classmethod
    def _objective(cls, value: Any) -> Any:
        return {SHORTHANDS["objective"]: value} if isinstance(value, str) else value


class LitConfig(LoopConfig):
    """text: the tower to train from scratch. loss: as of the objective clip. images: `cached` computes the locked
    tower's features once, without augmentation; `augmented` computes them at every step."""

    text: TextConfig
    loss: ContrastLoss = "softmax"
    images: Literal["cached", "augmented"] = "cached"

    @field_validator("text", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return sized(value, TEXT_SIZES)


class TrainConfig(Section):
    """A run. Everything that it writes is in `output`; the checkpoint in `output/name`, which is also the model's name
    in tables. Paths are relative to the working directory. cache: the feature store, by default mlcd-eval's.
    deterministic: sums in a fixed order on a GPU (docs/gpu.md). products: numbers that are multiplied where images
    meet cluster or class centres, with fp32 sums; auto is tf32 on a GPU and fp32 on a CPU."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    output: Path
    seed: Annotated[int, Field(ge=0)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    deterministic: bool = False
    products: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    cache: Path | None = None
    data: DataConfig
    embed: EmbedConfig | None = None
    cluster: ClusterConfig | None = None
    assign: AssignConfig | None = None
    model: ModelConfig
    fit: FitConfig
    lit: LitConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _objective_has_its_settings(cls, values: Any) -> Any:
        fit = values.get("fit") if isinstance(values, Mapping) else None
        if isinstance(fit, Mapping):
            _refuse_flat_settings(fit)
        return values

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.name in STAGES:
            raise ValueError(f"another name than {self.name!r}, which is a stage's folder")
        self._check_clusters()
        self._check_text()
        return self

    def _check_clusters(self) -> None:
        """Raise ValueError unless the config has the stages that labels need, and the labels that objectives need."""
        objective, needs, assign = self.fit.objective.name, self.fit.objective.needs, self.assign
        nearest = assign is None or any(labels.nearest is not None for labels in assign.sets.values())
        for section in ("embed", "cluster", "assign"):
            wanted = needs.clusters and (nearest or section == "assign")
            if wanted and getattr(self, section) is None:
                raise ValueError(f"a section {section}, since fit.objective is {objective}")
            if not wanted and getattr(self, section) is not None:
                without = f"fit.objective {objective}"
                if needs.clusters and assign is not None:
                    without = f"assign.labels {', '.join(str(labels.labels) for labels in assign.sets.values())}"
                raise ValueError(f"no section {section} with {without}, which needs no clusters")
        if assign is None:
            return
        objectives = self.fit.objective.by_labels
        if objectives.keys() != assign.sets.keys():
            raise ValueError(
                f"an objective in fit.objective.heads (objective: {{name: heads, heads: ...}}) for each set of labels "
                f"in assign.heads, got objectives of {', '.join(objectives)} and labels of {', '.join(assign.sets)}"
            )
        for name, labels in assign.sets.items():
            self._check_labels(assign.keys[name], labels, objectives[name])

    def _check_labels(self, key: str, labels: LabelConfig, objective: ObjectiveSettings) -> None:
        """Raise ValueError where a set of labels, at a key of the config, does not fit its objective."""
        if labels.nearest is None:
            if getattr(objective, "centres", None) == "clusters":
                raise ValueError("fit.objective.centres: random where labels do not come from clusters, got clusters")
            return
        assert self.cluster is not None
        if self.cluster.k < 2:
            raise ValueError("cluster.k at least 2, got 1: a single class has no negatives")
        if labels.nearest >= self.cluster.k:
            raise ValueError(
                f"{key} less than cluster.k = {self.cluster.k}, got {labels.labels}: an image of all classes has no "
                "negatives"
            )
        if objective.needs.one_label and labels.nearest != 1:
            raise ValueError(f"{key}: 1 with fit.objective {objective.name}, got {labels.labels}")

    def _check_text(self) -> None:
        objective, needs = self.fit.objective.name, self.fit.objective.needs
        if needs.captions and self.lit is not None:
            raise ValueError(f"no section lit with fit.objective {objective}, which trains the text tower itself")
        if needs.captions and (self.model.text is None or self.model.embed_dim is None):
            raise ValueError(f"model.text and model.embed_dim, since fit.objective is {objective}")
        if not needs.captions and self.model.text is not None:
            raise ValueError(f"no model.text with fit.objective {objective}: a text tower is trained by lit (lit.text)")


def _refuse_flat_settings(fit: Mapping[str, Any]) -> None:
    """Raise ValueError for settings of the objective beside it, where configs had them before each objective had its
    own."""
    objective = fit.get("objective", "mlcd")
    settings = {"name": objective} if isinstance(objective, str) else objective
    flat = {key: value for key, value in fit.items() if key in ClusterSettings.model_fields.keys() - {"name"}}
    if not flat or not isinstance(settings, Mapping):
        return
    name = str(settings.get("name"))
    if name in OBJECTIVES and (foreign := sorted(flat.keys() - OBJECTIVES[name].model_fields)):
        raise ValueError(f"no fit.{', no fit.'.join(foreign)} with fit.objective {name}, which has no such setting")
    form = yaml.safe_dump({**settings, **flat}, default_flow_style=True, sort_keys=False, width=1000).strip()
    moved = "has moved" if len(flat) == 1 else "have moved"
    raise ValueError(f"fit.{', fit.'.join(flat)} {moved}: write objective: {form}")


def load_config(path: Path, changes: Sequence[str] = (), allow_pipes: bool = False) -> TrainConfig:
    """Read a YAML file and `section.key=value` changes on it. Raises ConfigError for whatever is wrong with them, and
    for data that commands write unless `allow_pipes`."""
    values = read_yaml(path)
    for change in changes:
        _apply(values, change)
    config = validated(TrainConfig, values, str(path))
    check_consent(config.data.train, allow_pipes)
    return config


def with_looks(config: TrainConfig, looks: Mapping[str, Any]) -> TrainConfig:
    """The config with settings of fit and lit that change no weight; a value of None leaves it as it is."""
    given = {key: value for key, value in looks.items() if value is not None}
    loops = {name: loop for name in ("fit", "lit") if (loop := getattr(config, name)) is not None}
    return config.model_copy(update={name: loop.model_copy(update=given) for name, loop in loops.items()})


def _apply(values: dict[str, Any], change: str) -> None:
    keys, equals, text = change.partition("=")
    *sections, key = keys.split(".")
    for section in sections:
        inner = values.setdefault(section, {})
        if isinstance(inner, str) and section in SHORTHANDS:
            inner = values[section] = {SHORTHANDS[section]: inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {change!r}: {section!r} is {inner!r}, expected a section")
        values = inner
    if not equals or not key:
        raise ConfigError(f"--set got {change!r}, expected SECTION.KEY=VALUE such as fit.optimizer.lr=1e-3")
    try:
        value = parse_yaml(text)
    except ValueError as error:
        raise ConfigError(f"--set {change[:80]!r}: the value is not plain YAML: {error}") from error
    values[key] = value
