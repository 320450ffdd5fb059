"""Discrimination of clusters: images against class centres (mlcd, mlc, cluster)."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from mlcd_train.centres import ClassCentres
from mlcd_train.class_rows import Drawn
from mlcd_train.labels import LabelsInfo
from mlcd_train.losses import Filtered, MarginGradient, MarginKind, mlc_of_sums, mlcd_of_sums
from mlcd_train.objectives.base import Needs, ObjectiveInputs
from mlcd_train.objectives.classes import ClassObjective, ClassSettings
from mlcd_train.sections import Fraction, Positive


class ClusterSettings(ClassSettings):
    """Settings that all discrimination of clusters shares.

    margin and scale: of the cosine; margin_kind: added to the angle, in radians (ArcFace), or subtracted from the
    cosine (CosFace); margin_gradient: `straight_through` leaves the angular margin out of the derivative, as
    insightface's and UNICOM's code does, and is the default by the rule of results/study/registration.md. filter:
    negatives whose cosine is above it are left out, or, if filtered is `zero`, count as ones of cosine 0, as in that
    code. feature_share: of the dimensions of features and centres, those that a step compares, drawn at random
    (UNICOM's `sample_num_feat`).
    """

    margin: Annotated[float, Field(ge=0, lt=math.pi)] = 0.3
    margin_kind: MarginKind = "angular"
    margin_gradient: MarginGradient = "straight_through"
    filter: Annotated[float, Field(gt=-1, le=1)] | None = None
    filtered: Filtered = "left_out"
    scale: Positive = 64.0
    feature_share: Fraction = 1.0

    @staticmethod
    def of_sums(positive: Tensor, negative: Tensor) -> Tensor:
        """The loss (B,) of log sum_i exp(-s_i) and log sum_j exp(s_j), each (B,): a function of mlcd_train.losses."""
        raise NotImplementedError

    def build(self, inputs: ObjectiveInputs) -> ClusterDiscrimination:
        """Images against centres of the labels' classes."""
        labels = self.labels(inputs)
        centres = self.class_centres(inputs, labels.info)
        return ClusterDiscrimination(inputs.model, centres, labels.classes_of, self.centres_lr, inputs.drops)

    def class_centres(self, inputs: ObjectiveInputs, labels: LabelsInfo) -> ClassCentres:
        """Centres of the labels' classes."""
        return ClassCentres(
            loss_of_sums=self.of_sums,
            margin=self.margin,
            scale=self.scale,
            drawn_only=self.drawn_only,
            margin_kind=self.margin_kind,
            margin_gradient=self.margin_gradient,
            threshold=self.filter,
            filtered=self.filtered,
            feature_share=self.feature_share,
            **self.rows(inputs, labels),
        )


class Mlcd(ClusterSettings):
    """Multi-label cluster discrimination (An et al. 2024, arXiv 2407.17331): several labels per image, positives and
    negatives in separate terms of the loss."""

    name: Literal["mlcd"] = "mlcd"
    of_sums = staticmethod(mlcd_of_sums)


class Mlc(ClusterSettings):
    """Multi-label classification, which MLCD is compared with: every negative against every positive."""

    name: Literal["mlc"] = "mlc"
    of_sums = staticmethod(mlc_of_sums)


class Cluster(ClusterSettings):
    """Cluster discrimination with one label per image and a margin softmax (UNICOM, An et al. 2023, arXiv 2304.05884).
    With one label, MLC's loss is that softmax."""

    needs: ClassVar[Needs] = Needs(clusters=True, one_label=True)
    name: Literal["cluster"] = "cluster"
    of_sums = staticmethod(mlc_of_sums)


class ClusterDiscrimination(ClassObjective):
    """Images against class centres, by the centres' own loss."""

    _centres: ClassCentres

    def compare(self, features: Tensor, labels: Tensor, drawn: Drawn) -> tuple[Tensor, dict[str, Tensor]]:
        """Two sums over classes, of positives and of negatives."""
        outcome = self._centres.forward(features, labels, drawn)
        return outcome.loss, outcome.terms
