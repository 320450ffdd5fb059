"""The settings of a linear probe, and the dialects that other sources measure it in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from mlcd_eval.encoders.base import PENULTIMATE
from mlcd_eval.protocols.classification.adamw_probe import AdamWSettings
from mlcd_eval.protocols.classification.labelled import PrimaryMetric
from mlcd_eval.protocols.classification.reliability_settings import ReliabilitySettings
from mlcd_eval.protocols.classification.sgd_probe import DINOV2_LAYERS, SGDSettings
from mlcd_eval.protocols.dialects import ProtocolDialect
from mlcd_eval.protocols.shared.embedding import Embedding
from mlcd_eval.protocols.shared.vector_layer import VectorLayer


class LinearProbeSettings(ReliabilitySettings):
    """metric: the primary one, which also chooses lambda on a held-out part; None: acc1, or map_11point where images
    have several labels. also: metrics of the predicted classes to report besides, of one label per image. normalise:
    divide each feature by its length. exif: turn images as their EXIF orientation says. embedding: how
    features are compressed, after that (shared/embedding.py).

    sweep: the lambdas that are tried, CLIP's search or all 45 of DINOv2. lambda_: fixed, in place of the search; c:
    the same as scikit-learn's C. selection: where the dataset has no val split, lambda is searched by cross-validation
    (cross_validation.py), or, as CLIP does it, on a held-out part of train, which is what TOO_MANY train images or more
    get in any case; val_fraction: how much of it; hold_out: how it is drawn. max_iter: the most passes over the
    data in a fit; tolerance: at which the last fit stops (see LogisticProblem.fit).

    shots: the number of train images per class whose labels are used (val is not read); draw: how they are drawn; the
    result is the mean over `trials` draws; lambda is searched on the shots alone, and is 1 for one shot. Of a
    class with fewer images all are taken; the record's `classes_with_fewer_shots` counts them. A request may give a
    list of numbers, or `curve` for those of SWEPT.

    examples: `vtab1k` learns from 1,000 images, the first 800 of train to fit and 200 to choose lambda by, which are
    the first of val or, without that split, the next of train; the last fit is on all (Zhai et al. 2019).

    layers: `all` probes every block of the tower at every pooling, in place of `layer`, and reports the one that is
    best on the part of train that is held out (layer_search.py).

    adamw, sgd: train a layer by AdamW (adamw_probe.py) or layers by SGD (sgd_probe.py) in place of logistic regression.
    """

    layer: VectorLayer = PENULTIMATE
    layers: Literal["all"] | None = None
    exif: bool = False
    embedding: Embedding | None = None
    metric: PrimaryMetric | None = None
    val_fraction: float = Field(default=0.2, gt=0, lt=1)
    lambda_: PositiveFloat | None = None
    max_iter: PositiveInt = 1000
    shots: PositiveInt | None = None
    trials: PositiveInt = 5
    also: tuple[Literal["macro_recall", "macro_f1"], ...] = ()
    normalise: bool = False
    sweep: Literal["clip", "dinov2"] = "clip"
    c: PositiveFloat | None = None
    selection: Literal["cross_validation", "holdout"] = "cross_validation"
    hold_out: Literal["stratified", "dinov2", "dinov3"] = "stratified"
    tolerance: PositiveFloat = 1e-6
    draw: Literal["stratified", "mteb", "clip_benchmark"] = "stratified"
    examples: Literal["all", "vtab1k"] = "all"
    adamw: AdamWSettings | None = None
    sgd: SGDSettings | None = None

    @model_validator(mode="after")
    def _one_penalty(self) -> LinearProbeSettings:
        given = [name for name in ("lambda_", "c", "adamw", "sgd") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"expected at most one of lambda_, c, adamw and sgd, got {' and '.join(given)}")
        return self

    @model_validator(mode="after")
    def _holdout_has_its_settings(self) -> LinearProbeSettings:
        defaults = LinearProbeSettings.model_fields
        given = [
            name for name in ("val_fraction", "hold_out", "sweep") if getattr(self, name) != defaults[name].default
        ]
        if given and self.selection != "holdout":
            raise ValueError(
                f"{given[0]} is of a held-out part: expected selection holdout with it, got {self.selection}"
            )
        return self

    @model_validator(mode="after")
    def _nothing_is_chosen_twice(self) -> LinearProbeSettings:
        for is_set, what, others in (
            (self.examples != "all", f"examples {self.examples}", ("shots", "layers", "adamw", "sgd")),
            (self.layers is not None, "layers", ("shots", "adamw", "embedding", "layer")),
            (self.sgd is not None, "sgd, which has layers of its own,", ("shots", "layers", "embedding", "layer")),
        ):
            given = [name for name in others if getattr(self, name) not in (None, PENULTIMATE)]
            if is_set and given:
                raise ValueError(f"expected {what} without {' and '.join(given)}")
        return self

    @model_validator(mode="after")
    def _one_trial(self) -> LinearProbeSettings:
        if self.shots is not None and self.reliability_given():
            raise ValueError(f"expected {' and '.join(self.reliability_given())} without shots")
        return self

    @property
    def searches(self) -> bool:
        """Whether lambda is searched."""
        return self.lambda_ is None and self.c is None and self.adamw is None and self.sgd is None


FACTORS = {
    "layer": (PENULTIMATE, "projected"),
    "exif": (False, True),
    "normalise": (False, True),
    "shots": (None, 16),
    "draw": ("stratified", "mteb", "clip_benchmark"),
    "c": (None, 1.0),
}

SWEPT = {"shots": (1, 2, 4, 8, 16, 32)}

_ITERATIONS = "stops after 1,000 iterations, converged or not; these fits converge"

_AUGMENTED = (
    "There train images are cropped and flipped at random in each step, here the kept features of images as they are "
    "evaluated are used again. Without a val split the best layer is chosen on a part of train, there on the data that "
    "is scored."
)

DIALECTS = {
    "clip": ProtocolDialect({"selection": "holdout"}, "CLIP (Radford et al. 2021), appendix A.3"),
    "mteb": ProtocolDialect(
        {
            "layer": "projected",
            "exif": True,
            "shots": 16,
            "trials": 5,
            "draw": "mteb",
            "c": 1.0,
            "metric": "acc1",
            "also": ("macro_recall", "macro_f1"),
            "tolerance": 1e-10,
        },
        "mteb 2.26, abstasks/classification.py with 16 samples per label and 5 experiments, as its image tasks",
        "The samples are the same, but mteb's fits stop after 100 iterations in float32, mostly before they converge, "
        "so that its predictions move with threads and the batch size of the encoder; these fits converge. Some of its "
        "tasks have 10 experiments (trials=10).",
    ),
    "dinov2": ProtocolDialect(
        {"sweep": "dinov2", "val_fraction": 0.1, "selection": "holdout", "hold_out": "dinov2"},
        "DINOv2, dinov2/eval/log_regression.py at 05c66df (its --metric-type is here the task's metric)",
        f"cuML's solver {_ITERATIONS}, and do not fit to the end a C that is far below the best one.",
    ),
    "dinov3": ProtocolDialect(
        {"sweep": "dinov2", "val_fraction": 0.1, "selection": "holdout", "hold_out": "dinov3"},
        "DINOv3, dinov3/eval/log_regression.py at 78dc9b8 (its metric type is here the task's metric)",
        f"scikit-learn's solver {_ITERATIONS}, and do not fit to the end a C that is far below the best one.",
    ),
    "dinov2-linear": ProtocolDialect(
        {"sgd": SGDSettings(layers=DINOV2_LAYERS)},
        "DINOv2, dinov2/eval/linear.py at b8931f7 on one GPU (its --val-metric-type is here the task's metric)",
        _AUGMENTED,
        explains=False,
    ),
    "dinov3-linear": ProtocolDialect(
        {"sgd": SGDSettings(layers=("last_1/cls+mean",))},
        "DINOv3, dinov3/eval/linear.py at 6876159 on one GPU (its val metric type is here the task's metric)",
        _AUGMENTED,
        explains=False,
    ),
    "clip-benchmark": ProtocolDialect(
        {
            "layer": "projected",
            "normalise": True,
            "draw": "clip_benchmark",
            "trials": 1,
            "metric": "acc1",
            "adamw": AdamWSettings(),
        },
        "clip_benchmark 1.6, metrics/linear_probe.py with the defaults of its command line",
        "The numbers are the same if mixed precision is off (--no_amp) and the random state is that of the seed when "
        "evaluate() begins; its command line first lets the loading of the model draw from it, which changes the order "
        "of the train rows.",
    ),
}
