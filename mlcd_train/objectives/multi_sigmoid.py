"""Each pair of an image and a class judged on its own: BCE over several labels, and SigLIP's form of it."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_train.centres import Found
from mlcd_train.class_rows import ClassRows, Drawn
from mlcd_train.distributed import add_up, for_shares, gather_on_host
from mlcd_train.drops import NOTHING, DropRule
from mlcd_train.host import upload
from mlcd_train.objectives.base import ObjectiveInputs
from mlcd_train.objectives.classes import ClassObjective, ClassSettings, LabelsOf


class MultiSigmoid(ClassSettings):
    """Binary cross-entropy of each of a step's classes.

    logits: a learned factor times the cosine plus a learned bias, which start at 10 and -10 (`cosine`: SigLIP, Zhai et
    al. 2023, with classes for texts), or those of a linear layer with a bias per class (`linear`: CatLIP, Mehta et al.
    2024, arXiv 2404.15653, with ratio 1 and the mean over classes). over_classes: sum or mean of their terms.
    """

    name: Literal["multi_sigmoid"] = "multi_sigmoid"
    logits: Literal["cosine", "linear"] = "cosine"
    over_classes: Literal["sum", "mean"] = "sum"

    def build(self, inputs: ObjectiveInputs) -> SigmoidPerClass:
        """Images against the rows of the labels' classes."""
        labels = self.labels(inputs)
        rows = ClassRows(**self.rows(inputs, labels.info, self.logits == "linear"))
        return SigmoidPerClass(inputs.model, rows, labels.classes_of, self, inputs.drops)


class SigmoidPerClass(ClassObjective):
    """Images against class rows, class by class."""

    def __init__(
        self,
        model: DualEncoder,
        rows: ClassRows,
        labels_of: LabelsOf,
        settings: MultiSigmoid,
        drops: DropRule = NOTHING,
    ) -> None:
        super().__init__(model, rows, labels_of, settings.centres_lr, drops)
        self._settings = settings
        if not rows.linear:
            device = rows.weight.device
            self._log_factor = nn.Parameter(torch.tensor(math.log(10.0), device=device))
            self._bias = nn.Parameter(torch.tensor(-10.0, device=device))
            self.parameters += [("classes.log_factor", self._log_factor), ("classes.bias", self._bias)]

    def compare(self, features: Tensor, labels: Tensor, drawn: Drawn) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean over images of the classes' losses, and the mean logits of own and other classes."""
        logits, device = self._centres.logits(features, drawn), features.device
        if not self._centres.linear:
            logits = for_shares(self._log_factor).exp() * logits + for_shares(self._bias)
        found = Found.of(drawn.classes, gather_on_host(labels))
        own = found.among(logits)
        losses = softplus(torch.where(own, -logits, logits))
        if self._settings.drawn_only:
            losses = losses.masked_fill(~own & upload(~drawn.at_random, device), 0.0)
        total = add_up(losses.sum(dim=1)).mean()
        with torch.no_grad():
            of_own = torch.where(own, logits, 0.0).sum(dtype=torch.float64)
            pairs = upload(torch.tensor([len(found.image), own.numel()], dtype=torch.float64), device)
            of_own, of_all, pairs, all_pairs = add_up(torch.stack([of_own, logits.sum(dtype=torch.float64), *pairs]))
        loss = total / (all_pairs / len(logits)) if self._settings.over_classes == "mean" else total
        return loss.float(), {
            "loss": loss.detach().float(),
            "positive_logit": of_own / pairs.clamp_min(1),
            "negative_logit": (of_all - of_own) / (all_pairs - pairs).clamp_min(1),
        }
