"""Attentive probe: a head that attends to patch tokens, as AIM and V-JEPA evaluate frozen encoders.

The heads and their recipes are in attentive_head.py and onevision_head.py. Learning rate and weight decay are chosen
from a grid on the val split, or on a seeded stratified part of train where there is none; a head with the best ones is
trained on train and val together; only then is the test split scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field, PositiveFloat

from mlcd_eval.encoders.base import PATCHES
from mlcd_eval.errors import IncompatibleError
from mlcd_eval.metrics.table import metric_value
from mlcd_eval.protocols.base import Control, Elsewhere, Features, ImageRequest, Inputs, Needs, Protocol, Scores
from mlcd_eval.protocols.classification.controls import label_controls
from mlcd_eval.protocols.classification.draws import HOLD_OUTS
from mlcd_eval.protocols.classification.labelled import (
    PrimaryMetric,
    as_lists,
    checked_labels,
    columns_of,
    count_classes,
    measured,
    primary_metric,
    split_requests,
    train_and_val,
)
from mlcd_eval.protocols.classification.probe_training import check_contrast
from mlcd_eval.protocols.classification.reliability import HeldOut, measured_reliability, thinned
from mlcd_eval.protocols.classification.reliability_settings import ReliabilitySettings, learned_from
from mlcd_eval.protocols.dialects import ProtocolDialect

if TYPE_CHECKING:
    from torch import Tensor

    from mlcd_eval.protocols.classification.attentive_training import Head, Recipe
    from mlcd_eval.support.resident import Rows

LRS = (3e-4, 1e-3, 3e-3)
WEIGHT_DECAYS = (0.01, 0.1)
DEFAULT = (1e-3, 0.01)
"""Learning rate and weight decay where no class has an image to spare for choosing them."""


class AttentiveProbeSettings(ReliabilitySettings):
    """metric: the primary one, by which the grid is searched; None: acc1, or map_11point where images have several
    labels. lr, weight_decay: fixed, in place of the grid's. val_fraction: of train, where the data set has no val
    split. head: which one, with its recipe. precision: of the head's arithmetic. exif: turn images as their EXIF
    orientation says."""

    layer: Literal["patches", "projected_patches"] = PATCHES  # type: ignore[assignment]
    exif: bool = False
    metric: PrimaryMetric | None = None
    lr: PositiveFloat | None = None
    weight_decay: float | None = Field(default=None, ge=0)
    val_fraction: float = Field(default=0.2, gt=0, lt=1)
    head: Literal["aim", "onevision"] = "aim"
    precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def grid(self) -> list[tuple[float, float]]:
        """(learning rate, weight decay) that are tried."""
        rates = LRS if self.lr is None else (self.lr,)
        decays = WEIGHT_DECAYS if self.weight_decay is None else (self.weight_decay,)
        return [(rate, decay) for rate in rates for decay in decays]


DIALECTS = {
    "onevision": ProtocolDialect(
        {"head": "onevision", "lr": 1e-4, "weight_decay": 0.0, "precision": "bf16"},
        "OneVision-Encoder, eval_encoder/attentive_probe.py at c2cd3e0",
        "There the tokens of a video's frames, with sines of their time added, and random crops of train; here those "
        "of an image as it is evaluated. There the best pass on the scored data is reported, here the last one.",
        explains=False,
    ),
}


ELSEWHERE = Elsewhere(
    tasks=("Self-Supervised Image Classification",),
    board="{dataset} (attentive probe)",
    hub_task="image-classification",
    num_params=True,
)


class AttentiveProbe(Protocol[AttentiveProbeSettings]):
    """A softmax over classes, or a sigmoid for each where images have several labels."""

    name = "attentive_probe"
    version = 1
    kinds = ("classification", "multilabel")
    elsewhere = ELSEWHERE
    dialects = DIALECTS

    def seed_matters(self, settings: Mapping[str, Any]) -> bool:
        """It draws the first weights, the batches and the part of train that is held out."""
        return True

    def needs(self, settings: AttentiveProbeSettings) -> Needs:
        """Return the need for the images of another data set, if they are asked for."""
        return Needs(ood=settings.ood)

    def requests(self, settings: AttentiveProbeSettings, splits: Sequence[str]) -> dict[str, ImageRequest]:
        """Return patches of train, test, and val where there is one."""
        requests = split_requests(self.name, settings.layer, splits, ("val",), settings.exif)
        return settings.reliability_requests(requests["test"]) | requests

    def score(self, settings: AttentiveProbeSettings, inputs: Inputs) -> Scores:
        """A test sample whose class does not occur in train is scored, as wrong.

        Raises IncompatibleError where the metric does not fit the labels or all labels of train are equal; DataError
        where a feature is not finite.
        """
        from mlcd_eval.protocols.classification.attentive_training import scores_of, train_attentive
        from mlcd_eval.support.resident import Rows

        recipe = recipe_of(settings.head)
        everything, inputs = inputs, learned_from(inputs)
        labels = {split: checked_labels(features, split) for split, features in inputs.images.items()}
        check_contrast(labels["train"], self.name)
        multilabel, num_classes = labels["train"].ndim == 2, count_classes(inputs)
        settings.check_one_label(multilabel)
        metric = primary_metric(settings.metric, num_classes, multilabel)
        patches, truth, fit, held_out = _learned(settings, inputs, labels)
        rows, test = Rows(patches, inputs.device), inputs.images["test"]
        grid = settings.grid if len(held_out) or len(settings.grid) == 1 else [DEFAULT]
        trainings = [len(fit)] * (len(grid) if len(grid) > 1 else 0) + [len(truth)]
        with inputs.stage("steps of the probe", sum(map(recipe.steps_of, trainings)), "steps") as advance:

            def trained(part: np.ndarray, rate: float, decay: float) -> Any:
                return train_attentive(
                    recipe,
                    rows.select(part),
                    truth[part],
                    num_classes,
                    rate,
                    decay,
                    inputs.seed,
                    settings.precision,
                    advance,
                )

            judge = _Judge(metric, rows, truth, held_out, settings, num_classes)
            for rate, decay in grid if len(grid) > 1 else ():
                judge.see(trained(fit, rate, decay), rate, decay)
            rate, decay = judge.best(default=grid[0])
            head = trained(np.arange(len(truth)), rate, decay)

            def logits_of(images: Features) -> Iterator[Tensor]:
                return scores_of(head, Rows(images.array, inputs.device), settings.precision)

            columns = columns_of(logits_of(test), labels["test"])
            more = measured_reliability(settings, everything, columns, logits_of, judge.kept)
        chosen = f"search by {metric} on {len(held_out)} samples" if judge.search else _unsearched(settings)
        return Scores(
            metrics=[*measured(columns, num_classes, multilabel, inputs.seed, len(test.bad)), *more.metrics],
            primary=metric,
            samples={"key": list(test.keys), **as_lists(columns), **more.samples},
            details={
                "recipe": recipe.number,
                "heads": head.heads,
                "num_train": len(truth),
                "lr": rate,
                "weight_decay": decay,
                "chosen_from": chosen,
                **({"search": judge.search} if judge.search else {}),
                **more.details,
            },
        )

    def controls(self, settings: AttentiveProbeSettings, inputs: Inputs) -> list[Control]:
        """Without a search, by the default metric."""
        rate, decay = settings.grid[0] if len(settings.grid) == 1 else DEFAULT
        changes = {"lr": rate, "weight_decay": decay, "metric": None}
        return label_controls(self, settings.model_copy(update=changes), inputs, grid=True)


def recipe_of(head: str) -> Recipe:
    """Return a head's recipe."""
    from mlcd_eval.protocols.classification.attentive_head import AIM
    from mlcd_eval.protocols.classification.onevision_head import ONEVISION

    return {"aim": AIM, "onevision": ONEVISION}[head]


@dataclass
class _Judge:
    """Scores heads on rows of train that they were not trained on. search: a line per head; kept: what the best one so
    far says of these rows, where calibration is fitted to it."""

    metric: str
    rows: Rows
    truth: np.ndarray
    held_out: np.ndarray
    settings: AttentiveProbeSettings
    num_classes: int
    search: list[dict[str, float]] = field(default_factory=list)
    kept: HeldOut | None = None

    def see(self, head: Head, rate: float, decay: float) -> None:
        """Raises IncompatibleError where the metric is undefined on the rows."""
        from mlcd_eval.protocols.classification.attentive_training import scores_of

        scores = scores_of(head, self.rows.select(self.held_out), self.settings.precision)
        value = metric_value(self.metric, columns_of(scores, self.truth[self.held_out]))
        if value is None:
            raise IncompatibleError(
                f"learning rate and weight decay cannot be chosen by {self.metric}: got {len(self.held_out)} "
                "validation samples on which it is undefined, expected positives and negatives (or set lr and "
                "weight_decay)"
            )
        is_best = value > max((line["score"] for line in self.search), default=-1.0)
        if self.settings.calibration == "fitted" and is_best:
            self.kept = self._said(head, thinned(self.held_out, self.num_classes))
        self.search.append({"lr": rate, "weight_decay": decay, "score": value})

    def _said(self, head: Head, rows: np.ndarray) -> HeldOut:
        import torch

        from mlcd_eval.protocols.classification.attentive_training import scores_of

        logits = torch.cat(list(scores_of(head, self.rows.select(rows), self.settings.precision)))
        return HeldOut(logits, self.truth[rows], f"{len(rows)} samples that chose learning rate and weight decay")

    def best(self, default: tuple[float, float]) -> tuple[float, float]:
        """The learning rate and weight decay of the first of the best heads, `default` if none was seen."""
        line = max(self.search, key=lambda line: line["score"], default=None)
        return default if line is None else (line["lr"], line["weight_decay"])


def _unsearched(settings: AttentiveProbeSettings) -> str:
    return "settings" if len(settings.grid) == 1 else "default: no class has two train samples"


def _learned(
    settings: AttentiveProbeSettings, inputs: Inputs, labels: Mapping[str, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the patches and labels of train and val, and the rows to fit and to choose by."""
    array, train = inputs.images["train"].array, labels["train"]
    if "val" not in labels:
        rng = np.random.default_rng(inputs.seed)
        return array, train, *HOLD_OUTS["stratified"](train, settings.val_fraction, rng)
    return train_and_val(array, train, inputs.images["val"].array, labels["val"])
