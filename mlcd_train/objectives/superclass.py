"""Classification of the words of captions, or of any labels, weighted by how rare they are (SuperClass)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_train.assignment import NONE
from mlcd_train.centres import Found, add_up_logs
from mlcd_train.class_rows import ClassRows, Drawn
from mlcd_train.distributed import add_up, gather_on_host
from mlcd_train.drops import NOTHING, DropRule
from mlcd_train.host import upload
from mlcd_train.losses import logsumexp
from mlcd_train.objectives.base import ObjectiveInputs
from mlcd_train.objectives.classes import ClassObjective, ClassSettings, LabelsOf
from mlcd_train.sections import Fraction


class SuperClass(ClassSettings):
    """Softmax cross-entropy of a linear layer over all classes with the distribution of an image's labels, in which
    each has its weight (Huang et al. 2024, arXiv 2411.03313, equations 1 to 3).

    weights: inverse document frequency, log(N / (1 + n)) of a label that n of N images have, at least 0 (`idf`; the
    authors' code estimates n while it trains, here it is counted), or equal ones.
    """

    name: Literal["superclass"] = "superclass"
    ratio: Fraction = 1.0
    weights: Literal["idf", "equal"] = "idf"

    def build(self, inputs: ObjectiveInputs) -> WeightedSoftmax:
        """Images against the rows of the labels' classes."""
        labels = self.labels(inputs)
        weights = torch.ones(labels.info.num_classes)
        if self.weights == "idf":
            weights = inverse_document_frequency(labels.counts(), labels.info.images)
        rows = ClassRows(**self.rows(inputs, labels.info, linear=True))
        return WeightedSoftmax(inputs.model, rows, labels.classes_of, self, weights, inputs.drops)


def inverse_document_frequency(counts: Tensor, images: int) -> Tensor:
    """Weights (K,) of classes that `counts` (K,) of the images have."""
    return (images / (1 + counts.double())).log().clamp_min(0).float()


class WeightedSoftmax(ClassObjective):
    """Images against class rows, by cross-entropy with a distribution. weights (K,): of the classes, on the host."""

    def __init__(
        self,
        model: DualEncoder,
        rows: ClassRows,
        labels_of: LabelsOf,
        settings: SuperClass,
        weights: Tensor,
        drops: DropRule = NOTHING,
    ) -> None:
        super().__init__(model, rows, labels_of, settings.centres_lr, drops)
        self._weights, self._settings = weights, settings

    def compare(self, features: Tensor, labels: Tensor, drawn: Drawn) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over images. An image whose labels weigh nothing has a loss of 0."""
        logits, device = self._centres.logits(features, drawn), features.device
        labels = gather_on_host(labels)
        weights = self._weights[labels].masked_fill(labels == NONE, 0.0)
        targets = weights / weights.sum(dim=1, keepdim=True).clamp_min(1e-12)
        found = Found.of(drawn.classes, labels)
        if self._settings.drawn_only:
            left_out = ~found.among(logits) & upload(~drawn.at_random, device)
            logits = logits.masked_fill(left_out, -torch.inf)
        here = upload(targets * found.is_here, device)
        empty = torch.zeros(here.shape, device=device)
        own = logits.gather(1, upload(found.column, device)) if len(drawn.classes) else empty
        of_own = add_up(torch.where(here > 0, here * own, 0.0).sum(dim=1))
        whole = upload(targets.sum(dim=1), device)
        loss = (whole * add_up_logs(logsumexp(logits)) - of_own).mean()
        return loss, {"loss": loss.detach(), "positive_logit": of_own.detach().mean()}
