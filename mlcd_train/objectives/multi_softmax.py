"""A margin softmax for each of several labels of an image, each with negatives of its own (OneVision-Encoder's)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_eval.support.distributed import rank
from mlcd_train.assignment import NONE
from mlcd_train.centres import ClassCentres, Discrimination
from mlcd_train.chance import step_generator
from mlcd_train.class_rows import Chosen, Drawn
from mlcd_train.distributed import gather_on_host
from mlcd_train.drops import NOTHING, DropRule
from mlcd_train.host import upload
from mlcd_train.losses import Filtered, MarginKind, mlc_of_sums
from mlcd_train.objectives.base import ObjectiveInputs
from mlcd_train.objectives.classes import LabelsOf
from mlcd_train.objectives.discrimination import ClusterDiscrimination, ClusterSettings
from mlcd_train.sections import Count

SUBSETS = -(1 << 40)  # number of the first block of images, for their random subsets of labels


class MultiSoftmax(ClusterSettings):
    """The mean over a random subset of an image's labels of softmax cross-entropies with a margin, each against
    negatives drawn for that label (the later trainer of MLCD's authors, github.com/EvolvingLMMs-Lab/OneVision-Encoder,
    training/fused_partial_fc_v2_multi_res.py). Another label of the image is a negative like any other.

    subset: number of labels that a step learns of each image, theirs 8 of 10. The defaults are theirs.
    """

    name: Literal["multi_softmax"] = "multi_softmax"
    of_sums = staticmethod(mlc_of_sums)
    subset: Count = 8
    positives_count: bool = True
    margin_kind: MarginKind = "cosine"
    filter: float | None = 0.75
    filtered: Filtered = "zero"

    def build(self, inputs: ObjectiveInputs) -> SoftmaxPerLabel:
        """Images against centres of the labels' classes."""
        labels = self.labels(inputs)
        centres = self.class_centres(inputs, labels.info)
        subset = min(self.subset, labels.info.labels)
        return SoftmaxPerLabel(inputs.model, centres, labels.classes_of, self.centres_lr, subset, inputs.drops)


class SoftmaxPerLabel(ClusterDiscrimination):
    """Images against class centres, label by label. subset: labels of an image that a step learns."""

    def __init__(
        self,
        model: DualEncoder,
        centres: ClassCentres,
        labels_of: LabelsOf,
        lr_factor: float,
        subset: int,
        drops: DropRule = NOTHING,
    ) -> None:
        super().__init__(model, centres, labels_of, lr_factor, drops)
        self._subset = subset

    def chosen(self, labels: Tensor, step: int) -> tuple[Tensor, Chosen]:
        """A random subset of each image's labels, the same for any number of ranks, and a draw for each of them."""
        generator = step_generator(self._centres.seed, step, SUBSETS)
        first = rank() * len(labels)
        chance = torch.rand(first + len(labels), labels.shape[1], generator=generator)[first:]
        order = (chance + (labels == NONE)).argsort(dim=1)[:, : self._subset]
        labels = labels.gather(1, order)
        return labels, self._centres.choose_by_label(labels, step)

    def compare(self, features: Tensor, labels: Tensor, drawn: Drawn) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over an image's labels of their losses; of the other terms the mean over labels."""
        assert drawn.by_label is not None
        cosine, labels = self._centres.logits(features, drawn), gather_on_host(labels)
        parts = []
        for number, members in enumerate(drawn.by_label):
            of_label = cosine[:, upload(members.nonzero().squeeze(1), cosine.device)]
            classes, at_random = drawn.classes[members], drawn.at_random[number, members]
            own = labels[:, number, None].contiguous()
            parts.append(vars(self._centres.outcome(of_label, own, classes, at_random)))
        means = {name: torch.stack([part[name] for part in parts]).mean(dim=0) for name in parts[0]}
        count = (labels != NONE).sum(dim=1).clamp_min(1)
        means["losses"] = means["losses"] * upload(labels.shape[1] / count, cosine.device)
        outcome = Discrimination(**means)
        return outcome.loss, outcome.terms
