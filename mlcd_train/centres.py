"""Class centres: images are compared with class rows by cosine, positives with a margin, in two sums over classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from mlcd_eval.support.distributed import parallel
from mlcd_train.class_rows import ClassRows, Drawn
from mlcd_train.distributed import add_up, gather_on_host
from mlcd_train.host import upload
from mlcd_train.losses import (
    Filtered,
    MarginGradient,
    MarginKind,
    logsumexp,
    negative_similarity,
    positive_similarity,
)


@dataclass(frozen=True)
class Discrimination:
    """Outcome of one step. losses (B,): of all ranks' images; positive, negative: log sum exp(-s_i) and
    log sum exp(s_j), means over images that have any; positive_cosine, negative_cosine: means over pairs, before margin
    and scale (the paper's figure 3); positive_below_0, negative_below_0: shares of images for which a logarithm is
    below 0, where its term of the loss hardly learns. All are on the device, since reading them would make the host
    wait for it."""

    losses: Tensor
    positive: Tensor
    negative: Tensor
    positive_cosine: Tensor
    negative_cosine: Tensor
    positive_below_0: Tensor
    negative_below_0: Tensor

    @property
    def loss(self) -> Tensor:
        """Mean over images."""
        return self.losses.mean()

    @property
    def terms(self) -> dict[str, Tensor]:
        """What is logged, the loss first."""
        terms = {name: value for name, value in vars(self).items() if name != "losses"}
        return {"loss": self.loss.detach(), **terms}


class ClassCentres(ClassRows):
    """Class rows that are compared by cosine, in losses of two sums over the classes.

    loss_of_sums: `mlcd_of_sums` or `mlc_of_sums` of mlcd_train.losses. drawn_only: an image's negatives are the classes
    drawn at random, without other images' positives. margin: of the positives, in radians if it is angular. scale: of
    all cosines. threshold: above which negatives are filtered. margin_kind, margin_gradient, filtered: as of
    `positive_similarity` and `negative_similarity`. rows: as of ClassRows.
    """

    def __init__(
        self,
        num_classes: int,
        dim: int,
        loss_of_sums: Callable[[Tensor, Tensor], Tensor],
        *,
        margin: float = 0.3,
        scale: float = 64.0,
        drawn_only: bool = False,
        margin_kind: MarginKind = "angular",
        margin_gradient: MarginGradient = "straight_through",
        threshold: float | None = None,
        filtered: Filtered = "left_out",
        **rows: Any,
    ) -> None:
        super().__init__(num_classes, dim, **rows)
        self.loss_of_sums, self.margin, self.scale, self.drawn_only = loss_of_sums, margin, scale, drawn_only
        self.margin_kind, self.margin_gradient = margin_kind, margin_gradient
        self.threshold, self.filtered = threshold, filtered

    def forward(self, features: Tensor, labels: Tensor, drawn: Drawn) -> Discrimination:
        """The loss of features (B, D), which are normalised here, with labels (B, l) on the host, which differ within a
        row.

        drawn: for these labels, or for a batch that they are a part of (gradient accumulation). A class that is a
        positive of another image is a negative of this one, unless `drawn_only`. The gradient with respect to
        `features` is W times that of the mean over all images, since `average_gradients` divides by W.
        """
        return self.outcome(self.logits(features, drawn), gather_on_host(labels), drawn.classes, drawn.at_random)

    def outcome(self, cosine: Tensor, labels: Tensor, classes: Tensor, at_random: Tensor) -> Discrimination:
        """The loss of cosines (all B, n) with the drawn classes (n,), of all ranks' labels (all B, l)."""
        device = cosine.device
        found = Found.of(classes, labels)
        is_here = upload(found.is_here, device)
        empty = torch.zeros(is_here.shape, device=device)
        matches = torch.where(is_here, cosine.gather(1, upload(found.column, device)), 0.0) if len(classes) else empty
        with_margin = positive_similarity(matches, self.margin, self.scale, self.margin_kind, self.margin_gradient)
        similarity = negative_similarity(cosine, self.scale, self.threshold, self.filtered)
        excluded = similarity.new_full((), -torch.inf)
        similarity = similarity.index_put_(found.own(device), excluded)  # an image's own positives
        if self.drawn_only:
            similarity = similarity.masked_fill(upload(~at_random, device), -torch.inf)

        positive = add_up_logs(logsumexp((-with_margin).masked_fill(~is_here, -torch.inf)))
        negative = add_up_logs(logsumexp(similarity))
        with torch.no_grad():
            total, others, both = matches.sum(dtype=torch.float64), cosine, found.is_here
            same = total
            if self.drawn_only:
                others = cosine[:, upload(at_random.nonzero().squeeze(1), device)]
                both = found.is_here & at_random[found.column] if len(classes) else found.is_here
                same = matches.masked_fill(~upload(both, device), 0.0).sum(dtype=torch.float64)
            pairs = torch.tensor([len(found.image), others.numel() - int(both.sum())], dtype=torch.float64)
            sums = torch.stack([total, others.sum(dtype=torch.float64) - same, *upload(pairs, device)])
            total, other_total, pairs, other_pairs = add_up(sums)
        return Discrimination(
            losses=self.loss_of_sums(positive, negative),
            positive=_mean_of_any(positive.detach()),
            negative=_mean_of_any(negative.detach()),
            positive_cosine=total / pairs.clamp_min(1),
            negative_cosine=other_total / other_pairs.clamp_min(1),
            positive_below_0=(positive < 0).float().mean(),
            negative_below_0=(negative < 0).float().mean(),
        )


def _mean_of_any(logs: Tensor) -> Tensor:
    """Mean of logarithms (B,) without those of empty sums, -inf; -inf if all are. Without waiting for the device."""
    empty = logs == -torch.inf
    return torch.where(empty.all(), -torch.inf, logs.masked_fill(empty, 0.0).sum() / (~empty).sum().clamp_min(1))


@dataclass(frozen=True)
class Found:
    """Where the labels (B, l) of images are among the sorted classes of a step, on the host. is_here (B, l): whether a
    label is one of them; column (B, l): its place if so; image, label: of those that are, in order."""

    is_here: Tensor
    column: Tensor
    image: Tensor
    label: Tensor

    @classmethod
    def of(cls, classes: Tensor, labels: Tensor) -> Found:
        """Look for labels (B, l) among classes (n,)."""
        column = torch.searchsorted(classes, labels).clamp_max(max(len(classes) - 1, 0))
        is_here = classes[column] == labels if len(classes) else torch.zeros_like(labels, dtype=torch.bool)
        return cls(is_here, column, *is_here.nonzero(as_tuple=True))

    def own(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Rows and columns of the labels in a matrix (B, n) of images and classes, on a device."""
        return upload(self.image, device), upload(self.column[self.image, self.label], device)

    def among(self, logits: Tensor) -> Tensor:
        """Whether a class is a label of an image: (B, n) as the logits are, on their device."""
        labels = torch.zeros(logits.shape, dtype=torch.bool, device=logits.device)
        return labels.index_put_(self.own(logits.device), torch.ones((), dtype=torch.bool, device=logits.device))


def add_up_logs(share: Tensor) -> Tensor:
    """log of the sum over ranks of exp(share)."""
    if not parallel():
        return share
    largest = share.detach().clone()
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    largest = torch.where(largest == -torch.inf, torch.zeros_like(largest), largest)
    total = add_up((share - largest).exp())
    return torch.where(total == 0, -torch.inf, total.clamp_min(1e-38).log() + largest)  # NaN of any rank stays NaN
