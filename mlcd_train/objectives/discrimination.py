"""Discrimination of clusters: images against class centres (mlcd, mlc, cluster)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_eval.errors import ConfigError
from mlcd_train.centres import Chosen, ClassCentres, Discrimination, Drawn
from mlcd_train.data.batches import Batch
from mlcd_train.distributed import add_up
from mlcd_train.drops import NOTHING, DropRule
from mlcd_train.losses import Filtered, MarginGradient, MarginKind, mlc_of_sums, mlcd_of_sums
from mlcd_train.objectives.base import (
    Backward,
    Needs,
    Objective,
    ObjectiveInputs,
    ObjectiveSettings,
    image_features,
    learning,
)
from mlcd_train.sections import Fraction, OptimizerConfig, Positive


class ClusterSettings(ObjectiveSettings):
    """Settings that all discrimination of clusters shares.

    ratio: r. A step draws r of all classes at random besides every positive of the whole batch. positives_count: r of
    all classes with those positives among them, as PartialFC's code does it. batch_positives: whether other images'
    positives are negatives of an image even if they were not drawn (`negatives`, as in PartialFC; a larger share than
    r: 0.31 with r = 0.1, 1,000,000 classes, batch 32,768 and 8 labels per image) or not (`drawn_only`). margin and
    scale: of the cosine; margin_kind: added to the angle, in radians (ArcFace), or subtracted from the cosine
    (CosFace); margin_gradient: `straight_through` leaves the angular margin out of the derivative, as insightface's
    and UNICOM's code does. filter: negatives whose cosine is above it are left out, or, if filtered is `zero`, count
    as ones of cosine 0, as in that code. centres: start from the clusters' centres (`clusters`, needs an embed_dim
    equal to theirs) or from N(0, 0.01) (`random`). centres_lr: factor on the learning rate of the class centres.
    """

    needs: ClassVar[Needs] = Needs(clusters=True)
    ratio: Fraction = 0.1
    positives_count: bool = False
    batch_positives: Literal["negatives", "drawn_only"] = "negatives"
    margin: Annotated[float, Field(ge=0, lt=math.pi)] = 0.3
    margin_kind: MarginKind = "angular"
    margin_gradient: MarginGradient = "exact"
    filter: Annotated[float, Field(gt=-1, le=1)] | None = None
    filtered: Filtered = "left_out"
    scale: Positive = 64.0
    centres: Literal["random", "clusters"] = "random"
    centres_lr: Positive = 1.0

    @staticmethod
    def of_sums(positive: Tensor, negative: Tensor) -> Tensor:
        """The loss (B,) of log sum_i exp(-s_i) and log sum_j exp(s_j), each (B,): a function of mlcd_train.losses."""
        raise NotImplementedError

    def build(self, inputs: ObjectiveInputs) -> ClusterDiscrimination:
        """Images against centres of the labels' classes."""
        labels = inputs.read_labels()
        centres = self.class_centres(inputs, labels.info.num_classes)
        return ClusterDiscrimination(inputs.model, centres, labels.classes_of, self.centres_lr, inputs.drops)

    def class_centres(self, inputs: ObjectiveInputs, num_classes: int) -> ClassCentres:
        """Centres of the classes; raises ConfigError if the clusters' dimension is not the model's."""
        shape = inputs.model.config
        dim = shape.embed_dim or shape.vision.width
        start = inputs.read_centres() if self.centres == "clusters" else None
        if start is not None and start.shape[1] != dim:
            raise ConfigError(
                f"fit.objective.centres is clusters, of {start.shape[1]} dimensions: expected model.embed_dim equal to "
                f"that, got {dim}"
            )
        return ClassCentres(
            num_classes,
            dim,
            self.of_sums,
            ratio=self.ratio,
            margin=self.margin,
            scale=self.scale,
            seed=inputs.seed,
            centres=start,
            device=str(inputs.device),
            positives_count=self.positives_count,
            drawn_only=self.batch_positives == "drawn_only",
            margin_kind=self.margin_kind,
            margin_gradient=self.margin_gradient,
            threshold=self.filter,
            filtered=self.filtered,
            products=inputs.products,
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


class ClusterDiscrimination(Objective):
    """Images against class centres.

    labels_of: keys -> (B, l) classes. lr_factor: on the learning rate of the centres.
    """

    def __init__(
        self,
        model: DualEncoder,
        centres: ClassCentres,
        labels_of: Callable[[Sequence[str]], Tensor],
        lr_factor: float,
        drops: DropRule = NOTHING,
    ) -> None:
        self.model = model
        self.parameters = learning(model)
        self._centres = centres
        self._labels_of = labels_of
        self._lr_factor = lr_factor
        self._drops = drops
        self._coming: tuple[Tensor, Chosen] | None = None
        self._drawn: Drawn | None = None

    def prepare(self, batch: Batch, step: int) -> None:
        """Find the images' labels, and choose the step's classes."""
        self.enter("centres")
        self._coming = self.chosen(self._labels_of(batch.keys), step)

    def chosen(self, labels: Tensor, step: int) -> tuple[Tensor, Chosen]:
        """Of an image's labels (B, l) those that a step learns, on the host, and the classes that it touches."""
        return labels, self._centres.choose(labels, step)

    def outcome(self, features: Tensor, labels: Tensor, drawn: Drawn) -> Discrimination:
        """Compare features (B, D) with the drawn classes."""
        return self._centres.forward(features, labels, drawn)

    def step(self, batch: Batch, step: int, parts: int, backward: Backward) -> dict[str, Tensor]:
        """Classes are drawn once for the whole batch; every part is compared with all of them."""
        assert self._coming is not None, "prepare comes before step"
        labels, chosen = self._coming
        self.enter("centres")
        self._drawn = self._centres.read(chosen)
        terms: dict[str, Tensor] = {}
        drops = self._drops.of(step, len(labels), batch.images.device).chunk(parts)
        for pixels, classes, left_out in zip(batch.images.chunk(parts), labels.chunk(parts), drops, strict=True):
            self.enter("forward")
            features = image_features(self.model, pixels, left_out)
            self.enter("centres")
            outcome = self.outcome(features, classes, self._drawn)
            loss = outcome.loss
            loss.register_hook(lambda _: self.enter("centres"))  # in backward, until it reaches the tower
            features.register_hook(lambda _: self.enter("backward"))
            backward(loss / parts)
            terms = {name: value / parts + terms.get(name, 0.0) for name, value in outcome.terms.items()}
        return terms

    def finite(self) -> Tensor:
        """Whether the gradients of the drawn rows are."""
        assert self._drawn is not None and self._drawn.rows.grad is not None
        return add_up((~self._drawn.rows.grad.isfinite()).sum()) == 0

    def update(self, lr: float, config: OptimizerConfig, grad_scale: float) -> None:
        """AdamW on the drawn rows."""
        assert self._drawn is not None
        self.enter("centres")
        self._centres.update(
            self._drawn, lr * self._lr_factor, config.betas, config.eps, config.weight_decay, grad_scale
        )

    def centres(self) -> ClassCentres:
        """This rank's class centres."""
        return self._centres
