"""Class centres: sharded over ranks, sampled at each step, updated row by row (PartialFC, An et al. 2022).

No matrix of batch x K is computed for K classes: a step touches the r K sampled rows and the batch's positives. Rank i
of W owns the classes [i K / W, (i + 1) K / W); it sees every rank's images, and the ranks add up their shares of the
two sums that the losses consist of. Which negatives a step draws depends only on seed, step and class, not on W.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.distributed import parallel, rank, world_size
from mlcd_train.assignment import NONE
from mlcd_train.chance import step_generator
from mlcd_train.distributed import add_up, gather_for_shares, gather_on_host
from mlcd_train.host import upload
from mlcd_train.losses import (
    Filtered,
    MarginGradient,
    MarginKind,
    logsumexp,
    negative_similarity,
    positive_similarity,
)
from mlcd_train.products import Products, product

BLOCK = 1 << 14  # classes per block; blocks are sampled separately, each with its own seed


@dataclass(frozen=True)
class Chosen:
    """The classes that one step touches. classes (n,): of this rank's shard, sorted; at_random (n,): whether a class
    was drawn, and is not only some image's positive; both on the host. places (n,): of the classes in the shard, on the
    device. by_label (l, n): of several draws, one for each label of an image, whether a class is in each, on the host;
    at_random is then (l, n) too.
    """

    classes: Tensor
    at_random: Tensor
    places: Tensor
    by_label: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Drawn(Chosen):
    """The same with rows (n, D): their centres, of any length; the step's gradients add up in their `.grad`."""

    rows: Tensor


@dataclass(frozen=True)
class Discrimination:
    """Outcome of one step. losses (B,): of all ranks' images; positive, negative: log sum exp(-s_i) and
    log sum exp(s_j), means over images; positive_cosine, negative_cosine: means over pairs, before margin and scale
    (the paper's figure 3); positive_below_0, negative_below_0: shares of images for which a logarithm is below 0, where
    its term of the loss hardly learns. All are on the device, since reading them would make the host wait for it."""

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


class ClassCentres:
    """This rank's share of K centres of dimension D, with AdamW moments for each row.

    loss_of_sums: `mlcd_of_sums` or `mlc_of_sums` of mlcd_train.losses. ratio: r, the share of all classes that a step
    draws as negatives besides its positives, or, if positives_count, together with them (PartialFC's own rule).
    drawn_only: an image's negatives are the classes drawn at random, without other images' positives. margin: of the
    positives, in radians if it is angular. scale: of all cosines. threshold: above which negatives are filtered.
    products: of images and centres. centres: (K, D) to start from, by default N(0, 0.01) as in UNICOM. The other
    settings are those of `positive_similarity` and `negative_similarity` of mlcd_train.losses.
    Raises ConfigError for a ratio outside (0, 1] or fewer classes than ranks.
    """

    def __init__(
        self,
        num_classes: int,
        dim: int,
        loss_of_sums: Callable[[Tensor, Tensor], Tensor],
        *,
        ratio: float = 0.1,
        margin: float = 0.3,
        scale: float = 64.0,
        seed: int = 0,
        centres: Tensor | None = None,
        device: str = "cpu",
        positives_count: bool = False,
        drawn_only: bool = False,
        margin_kind: MarginKind = "angular",
        margin_gradient: MarginGradient = "exact",
        threshold: float | None = None,
        filtered: Filtered = "left_out",
        products: Products = "fp32",
    ) -> None:
        if not 0 < ratio <= 1:
            raise ConfigError(f"fit: got negative ratio r = {ratio}, expected a number in (0, 1]")
        world = world_size()
        if num_classes < world:
            raise ConfigError(f"fit: got {num_classes} classes on {world} ranks, expected at least one per rank")
        self.num_classes, self.loss_of_sums = num_classes, loss_of_sums
        self.ratio, self.margin, self.scale, self.seed = ratio, margin, scale, seed
        self.positives_count, self.drawn_only, self.products = positives_count, drawn_only, products
        self.margin_kind, self.margin_gradient = margin_kind, margin_gradient
        self.threshold, self.filtered = threshold, filtered
        self.begin, self.end = rank() * num_classes // world, (rank() + 1) * num_classes // world
        if centres is None:
            blocks = range(0, num_classes, BLOCK)
            starts = [self._start_of_block(begin, dim, seed) for begin in blocks if self._overlaps(begin)]
            first = self.begin // BLOCK * BLOCK
            shard = torch.cat(starts)[self.begin - first : self.end - first]
        else:
            shard = centres[self.begin : self.end]
        self.weight = shard.to(device, torch.float32, copy=True)
        self.exp_avg, self.exp_avg_sq = torch.zeros_like(self.weight), torch.zeros_like(self.weight)
        self.steps = torch.zeros(len(self.weight), device=device)  # per row: each has an AdamW of its own

    @property
    def shape(self) -> tuple[int, int]:
        """K and D, over all ranks."""
        return self.num_classes, self.weight.shape[1]

    def _start_of_block(self, begin: int, dim: int, seed: int) -> Tensor:
        size = min(BLOCK, self.num_classes - begin)
        return 0.01 * torch.randn(size, dim, generator=step_generator(seed, -1, begin))

    def _overlaps(self, begin: int) -> bool:
        """Whether this rank owns classes of the block that begins there."""
        return begin < self.end and begin + BLOCK > self.begin

    def choose(self, labels: Tensor, step: int) -> Chosen:
        """The classes that a step touches: a share r of each block, and all labels (B, l) of all ranks. labels: on the
        host, where all of this is computed, so that it waits for no work of the device. It depends on no centre, so
        that it may come before the update of the step before."""
        classes, at_random = self._choose(gather_on_host(labels), step)
        return Chosen(classes, at_random, self._places(classes))

    def choose_by_label(self, labels: Tensor, step: int) -> Chosen:
        """The same with a draw of its own for each of the l labels of an image."""
        labels = gather_on_host(labels)
        draws = [self._choose(labels[:, number, None], step, number) for number in range(labels.shape[1])]
        classes = torch.cat([of_label for of_label, _ in draws]).unique()
        by_label = torch.stack([torch.isin(classes, of_label) for of_label, _ in draws])
        at_random = torch.stack([torch.isin(classes, of_label[random]) for of_label, random in draws])
        return Chosen(classes, at_random, self._places(classes), by_label)

    def _choose(self, labels: Tensor, step: int, draw: int = 0) -> tuple[Tensor, Tensor]:
        """Classes and at_random of a draw for labels (B, l) of all ranks."""
        positives = labels[labels != NONE].unique()
        drawn = [
            self._drawn_of_block(begin, positives, step, draw)
            for begin in range(self.begin // BLOCK * BLOCK, self.end, BLOCK)
        ]
        at_random = torch.cat(drawn) if drawn else positives[:0]
        classes = torch.cat([positives, at_random]).unique()
        classes = classes[(classes >= self.begin) & (classes < self.end)]
        return classes, torch.isin(classes, at_random)

    def _places(self, classes: Tensor) -> Tensor:
        return upload(classes - self.begin, self.weight.device)

    def read(self, chosen: Chosen) -> Drawn:
        """The chosen classes with their centres as they are now."""
        return Drawn(**vars(chosen), rows=self.weight[chosen.places].requires_grad_())

    def draw(self, labels: Tensor, step: int) -> Drawn:
        """Choose the classes of a step, and read their centres."""
        return self.read(self.choose(labels, step))

    def _drawn_of_block(self, begin: int, positives: Tensor, step: int, draw: int) -> Tensor:
        size = min(BLOCK, self.num_classes - begin)
        order = torch.randperm(size, generator=step_generator(self.seed, step, begin, draw))
        count = math.ceil(self.ratio * size)
        if self.positives_count:
            taken = torch.isin(order, positives - begin)
            order, count = order[~taken], max(count - int(taken.sum()), 0)
        return begin + order[:count]

    def forward(self, features: Tensor, labels: Tensor, drawn: Drawn) -> Discrimination:
        """The loss of features (B, D), which are normalised here, with labels (B, l) on the host, which differ within a
        row.

        drawn: for these labels, or for a batch that they are a part of (gradient accumulation). A class that is a
        positive of another image is a negative of this one, unless `drawn_only`. The gradient with respect to
        `features` is W times that of the mean over all images, since `average_gradients` divides by W.
        """
        return self.outcome(self.cosines(features, drawn), gather_on_host(labels), drawn.classes, drawn.at_random)

    def cosines(self, features: Tensor, drawn: Drawn) -> Tensor:
        """Cosines (all B, n) of all ranks' features with this rank's drawn classes."""
        images = gather_for_shares(torch.nn.functional.normalize(features.float(), dim=1))
        with torch.autocast(features.device.type, enabled=False):
            return product(images, torch.nn.functional.normalize(drawn.rows, dim=1), self.products)

    def outcome(self, cosine: Tensor, labels: Tensor, classes: Tensor, at_random: Tensor) -> Discrimination:
        """The loss of cosines (all B, n) with the drawn classes (n,), of all ranks' labels (all B, l)."""
        device = cosine.device
        found = _Found.of(classes, labels)
        own = upload(found.image, device), upload(found.column[found.image, found.label], device)
        is_here = upload(found.is_here, device)
        empty = torch.zeros(is_here.shape, device=device)
        matches = torch.where(is_here, cosine.gather(1, upload(found.column, device)), 0.0) if len(classes) else empty
        with_margin = positive_similarity(matches, self.margin, self.scale, self.margin_kind, self.margin_gradient)
        excluded = torch.full((), -torch.inf, device=device)
        similarity = negative_similarity(cosine, self.scale, self.threshold, self.filtered)
        similarity = similarity.index_put_(own, excluded)  # an image's own positives
        if self.drawn_only:
            similarity = similarity.masked_fill(upload(~at_random, device), -torch.inf)

        positive = _add_up_logs(logsumexp((-with_margin).masked_fill(~is_here, -torch.inf)))
        negative = _add_up_logs(logsumexp(similarity))
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
            positive=positive.detach().mean(),
            negative=negative.detach().mean(),
            positive_cosine=total / pairs.clamp_min(1),
            negative_cosine=other_total / other_pairs.clamp_min(1),
            positive_below_0=(positive < 0).float().mean(),
            negative_below_0=(negative < 0).float().mean(),
        )

    @torch.no_grad()
    def update(self, drawn: Drawn, lr: float, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8,
               weight_decay: float = 0.0, grad_scale: float = 1.0) -> None:  # fmt: skip
        """AdamW on the drawn rows after backward; the others keep weight and moments.

        So decoupled decay reaches a row only in the steps that draw it, 1 / r times less often than in dense AdamW.
        Since centres are normalised in the loss, decay changes no direction, only how far a step turns them.
        grad_scale: the factor on the loss (fp16).
        """
        assert drawn.rows.grad is not None, "update comes after backward"
        grad, index = drawn.rows.grad / grad_scale, drawn.places
        self.steps[index] += 1
        count = self.steps[index, None]
        exp_avg = self.exp_avg[index].lerp_(grad, 1 - betas[0])
        exp_avg_sq = self.exp_avg_sq[index].mul_(betas[1]).addcmul_(grad, grad, value=1 - betas[1])
        self.exp_avg[index], self.exp_avg_sq[index] = exp_avg, exp_avg_sq
        size = exp_avg_sq.div_(1 - betas[1] ** count).sqrt_().add_(eps)
        direction = exp_avg.div_(1 - betas[0] ** count).div_(size)
        self.weight[index] = self.weight[index].mul_(1 - lr * weight_decay).sub_(direction, alpha=lr)


@dataclass(frozen=True)
class _Found:
    """Where the labels (B, l) of images are among the sorted classes of a step, on the host. is_here (B, l): whether a
    label is one of them; column (B, l): its place if so; image, label: of those that are, in order."""

    is_here: Tensor
    column: Tensor
    image: Tensor
    label: Tensor

    @classmethod
    def of(cls, classes: Tensor, labels: Tensor) -> _Found:
        column = torch.searchsorted(classes, labels).clamp_max(max(len(classes) - 1, 0))
        is_here = classes[column] == labels if len(classes) else torch.zeros_like(labels, dtype=torch.bool)
        return cls(is_here, column, *is_here.nonzero(as_tuple=True))


def _add_up_logs(share: Tensor) -> Tensor:
    """log of the sum over ranks of exp(share)."""
    if not parallel():
        return share
    largest = share.detach().clone()
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    largest = torch.where(largest == -torch.inf, torch.zeros_like(largest), largest)
    total = add_up((share - largest).exp())
    return torch.where(total == 0, -torch.inf, total.clamp_min(1e-38).log() + largest)  # NaN of any rank stays NaN
