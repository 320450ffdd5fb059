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
from mlcd_train.distributed import add_up, gather, gather_for_shares
from mlcd_train.losses import additive_angular_margin, logsumexp

BLOCK = 1 << 14  # classes per block; blocks are sampled separately, each with its own seed


@dataclass(frozen=True)
class Drawn:
    """The classes that one step touches. classes (n,): of this rank's shard, sorted; rows (n, D): their centres, of any
    length; the step's gradients add up in their `.grad`. at_random (n,): whether a class was drawn, and is not only
    some image's positive."""

    classes: Tensor
    rows: Tensor
    at_random: Tensor


@dataclass(frozen=True)
class Discrimination:
    """Outcome of one step. loss: mean over all ranks' images; positive, negative: log sum exp(-s_i) and
    log sum exp(s_j), means over images; positive_cosine, negative_cosine: means over pairs, before margin and scale
    (the paper's figure 3); positive_below_0, negative_below_0: shares of images for which a logarithm is below 0, where
    its term of the loss hardly learns."""

    loss: Tensor
    positive: float
    negative: float
    positive_cosine: float
    negative_cosine: float
    positive_below_0: float
    negative_below_0: float


class ClassCentres:
    """This rank's share of K centres of dimension D, with AdamW moments for each row.

    loss_of_sums: `mlcd_of_sums` or `mlc_of_sums` of mlcd_train.losses. ratio: r, the share of all classes that a step
    draws as negatives besides its positives, or, if positives_count, together with them (PartialFC's own rule).
    drawn_only: an image's negatives are the classes drawn at random, without other images' positives. margin: added to
    the positives' angle, radians. scale: of all cosines. centres: (K, D) to start from, by default N(0, 0.01) as in
    UNICOM. Raises ConfigError for a ratio outside (0, 1] or fewer classes than ranks.
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
    ) -> None:
        if not 0 < ratio <= 1:
            raise ConfigError(f"fit: got negative ratio r = {ratio}, expected a number in (0, 1]")
        world = world_size()
        if num_classes < world:
            raise ConfigError(f"fit: got {num_classes} classes on {world} ranks, expected at least one per rank")
        self.num_classes, self.loss_of_sums = num_classes, loss_of_sums
        self.ratio, self.margin, self.scale, self.seed = ratio, margin, scale, seed
        self.positives_count, self.drawn_only = positives_count, drawn_only
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
        return 0.01 * torch.randn(size, dim, generator=_generator(seed, -1, begin))

    def _overlaps(self, begin: int) -> bool:
        """Whether this rank owns classes of the block that begins there."""
        return begin < self.end and begin + BLOCK > self.begin

    def draw(self, labels: Tensor, step: int) -> Drawn:
        """The classes that a step touches: a share r of each block, and all labels (B, l) of all ranks."""
        labels = gather(labels)
        positives = labels[labels != NONE].unique()
        drawn = [
            self._drawn_of_block(begin, positives, step).to(labels.device)
            for begin in range(self.begin // BLOCK * BLOCK, self.end, BLOCK)
        ]
        at_random = torch.cat(drawn) if drawn else positives[:0]
        classes = torch.cat([positives, at_random]).unique()
        classes = classes[(classes >= self.begin) & (classes < self.end)]
        rows = self.weight[classes - self.begin].requires_grad_()
        return Drawn(classes, rows, torch.isin(classes, at_random))

    def _drawn_of_block(self, begin: int, positives: Tensor, step: int) -> Tensor:
        size = min(BLOCK, self.num_classes - begin)
        order = torch.randperm(size, generator=_generator(self.seed, step, begin))
        count = math.ceil(self.ratio * size)
        if self.positives_count:
            taken = torch.isin(order, positives.to(order.device) - begin)
            order, count = order[~taken], max(count - int(taken.sum()), 0)
        return begin + order[:count]

    def forward(self, features: Tensor, labels: Tensor, drawn: Drawn) -> Discrimination:
        """The loss of features (B, D), which are normalised here, with labels (B, l), which differ within a row.

        drawn: for these labels, or for a batch that they are a part of (gradient accumulation). A class that is a
        positive of another image is a negative of this one, unless `drawn_only`. The gradient with respect to
        `features` is W times that of the mean over all images, since `average_gradients` divides by W.
        """
        index, rows = drawn.classes, drawn.rows
        images, labels = gather_for_shares(torch.nn.functional.normalize(features.float(), dim=1)), gather(labels)
        with torch.autocast(features.device.type, enabled=False):
            cosine = images @ torch.nn.functional.normalize(rows, dim=1).T  # (all B, sampled)

        column = torch.searchsorted(index, labels).clamp_max(max(len(index) - 1, 0))
        is_here = torch.zeros_like(labels, dtype=torch.bool) if len(index) == 0 else index[column] == labels
        matches = torch.where(is_here, cosine.gather(1, column), 0.0) if len(index) else torch.zeros_like(labels) + 0.0
        with_margin = additive_angular_margin(matches, self.margin, self.scale)
        image, label = is_here.nonzero(as_tuple=True)
        excluded = torch.tensor(-torch.inf, device=cosine.device)
        similarity = (self.scale * cosine).index_put_((image, column[image, label]), excluded)  # its own positives

        if self.drawn_only:
            similarity = similarity.masked_fill(~drawn.at_random, -torch.inf)

        positive = _add_up_logs(logsumexp((-with_margin).masked_fill(~is_here, -torch.inf)))
        negative = _add_up_logs(logsumexp(similarity))
        with torch.no_grad():
            total, pairs = matches.sum(dtype=torch.float64), is_here.sum()
            others, own, own_pairs = cosine, total, pairs
            if self.drawn_only:
                others = cosine[:, drawn.at_random]
                both = is_here & drawn.at_random[column] if len(index) else is_here
                own, own_pairs = matches.masked_fill(~both, 0.0).sum(dtype=torch.float64), both.sum()
            other_total = others.sum(dtype=torch.float64) - own
            sums = torch.stack([total, other_total, pairs, others.numel() - own_pairs])
            total, other_total, pairs, other_pairs = add_up(sums).tolist()
            logs = torch.stack([positive, negative])
            means = torch.stack([logs.mean(dim=1), (logs < 0).float().mean(dim=1)])
            (positive_mean, negative_mean), (positive_below_0, negative_below_0) = means.tolist()
        return Discrimination(
            loss=self.loss_of_sums(positive, negative).mean(),
            positive=positive_mean,
            negative=negative_mean,
            positive_cosine=total / max(pairs, 1),
            negative_cosine=other_total / max(other_pairs, 1),
            positive_below_0=positive_below_0,
            negative_below_0=negative_below_0,
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
        grad, index = drawn.rows.grad / grad_scale, drawn.classes - self.begin
        self.steps[index] += 1
        count = self.steps[index, None]
        exp_avg = self.exp_avg[index].lerp_(grad, 1 - betas[0])
        exp_avg_sq = self.exp_avg_sq[index].mul_(betas[1]).addcmul_(grad, grad, value=1 - betas[1])
        self.exp_avg[index], self.exp_avg_sq[index] = exp_avg, exp_avg_sq
        size = exp_avg_sq.div_(1 - betas[1] ** count).sqrt_().add_(eps)
        direction = exp_avg.div_(1 - betas[0] ** count).div_(size)
        self.weight[index] = self.weight[index].mul_(1 - lr * weight_decay).sub_(direction, alpha=lr)


def _add_up_logs(share: Tensor) -> Tensor:
    """log of the sum over ranks of exp(share)."""
    if not parallel():
        return share
    largest = share.detach().clone()
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    largest = torch.where(largest == -torch.inf, torch.zeros_like(largest), largest)
    total = add_up((share - largest).exp())
    return torch.where(total == 0, -torch.inf, total.clamp_min(1e-38).log() + largest)  # NaN of any rank stays NaN


def _generator(seed: int, step: int, block: int) -> torch.Generator:
    """A random stream for each (seed, step, block); the mix of the three does not collide in practice."""
    mixed = (seed * 0x9E3779B97F4A7C15 + (step + 1) * 0xBF58476D1CE4E5B9 + block * 0x94D049BB133111EB) & (2**63 - 1)
    return torch.Generator().manual_seed(mixed)
