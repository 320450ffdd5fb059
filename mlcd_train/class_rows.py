"""Class rows: sharded over ranks, sampled at each step, updated row by row (PartialFC, An et al. 2022).

No matrix of batch x K is computed for K classes: a step touches the r K sampled rows and the batch's positives. Rank i
of W owns the classes [i K / W, (i + 1) K / W); it sees every rank's images, and the ranks add up their shares of the
sums that a loss consists of. Which negatives a step draws depends only on seed, step and class, not on W.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.distributed import rank, world_size
from mlcd_train.assignment import NONE
from mlcd_train.chance import step_generator
from mlcd_train.distributed import gather_for_shares, gather_on_host
from mlcd_train.host import upload
from mlcd_train.losses import at_least_fp32
from mlcd_train.products import Products, product

BLOCK = 1 << 14  # classes per block; blocks are sampled separately, each with its own seed
FEATURES = -(1 << 41)  # number of the block of a step's dimensions


@dataclass(frozen=True)
class Chosen:
    """The classes that one step touches. classes (n,): of this rank's shard, sorted; at_random (n,): whether a class
    was drawn, and is not only some image's positive; both on the host. places (n,): of the classes in the shard, on the
    device. by_label (l, n): of several draws, one for each label of an image, whether a class is in each, on the host;
    at_random is then (l, n) too. dimensions (d,): of features and rows, those that are compared, on the device; None
    for all.
    """

    classes: Tensor
    at_random: Tensor
    places: Tensor
    by_label: Tensor | None = None
    dimensions: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Drawn(Chosen):
    """The same with rows (n, D): their centres, of any length; the step's gradients add up in their `.grad`."""

    rows: Tensor


class ClassRows:
    """This rank's share of the rows of K classes, of dimension D, with AdamW moments for each row.

    ratio: r, the share of all classes that a step draws as negatives besides its positives, or, if positives_count,
    together with them (PartialFC's own rule). linear: logits are a linear layer's, and the last number of a row is the
    class's bias; otherwise they are cosines. feature_share: of the dimensions, those that a step compares, drawn at
    random (UNICOM's code). products: of images and rows. centres: (K, D) to start from, by default
    N(0, 0.01) as in UNICOM. vocabulary: fingerprint of what the classes are.

    Raises ConfigError for a ratio outside (0, 1] or fewer classes than ranks.
    """

    def __init__(
        self,
        num_classes: int,
        dim: int,
        *,
        ratio: float = 0.1,
        seed: int = 0,
        centres: Tensor | None = None,
        device: str = "cpu",
        positives_count: bool = False,
        linear: bool = False,
        feature_share: float = 1.0,
        products: Products = "fp32",
        vocabulary: str = "",
    ) -> None:
        dim += linear
        if not 0 < ratio <= 1:
            raise ConfigError(f"fit: got negative ratio r = {ratio}, expected a number in (0, 1]")
        world = world_size()
        if num_classes < world:
            raise ConfigError(f"fit: got {num_classes} classes on {world} ranks, expected at least one per rank")
        self.num_classes, self.ratio, self.seed = num_classes, ratio, seed
        self.positives_count, self.linear, self.products = positives_count, linear, products
        self.compared = max(1, round(feature_share * dim))  # dimensions
        self.vocabulary = vocabulary
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
        return Chosen(classes, at_random, self._places(classes), dimensions=self._dimensions(step))

    def choose_by_label(self, labels: Tensor, step: int) -> Chosen:
        """The same with a draw of its own for each of the l labels of an image."""
        labels = gather_on_host(labels)
        draws = [self._choose(labels[:, number, None], step, number) for number in range(labels.shape[1])]
        classes = torch.cat([of_label for of_label, _ in draws]).unique()
        by_label = torch.stack([torch.isin(classes, of_label) for of_label, _ in draws])
        at_random = torch.stack([torch.isin(classes, of_label[random]) for of_label, random in draws])
        return Chosen(classes, at_random, self._places(classes), by_label, self._dimensions(step))

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

    def _dimensions(self, step: int) -> Tensor | None:
        """Those of a step, the same on all ranks, in order."""
        dim = self.weight.shape[1]
        if self.compared == dim:
            return None
        order = torch.randperm(dim, generator=step_generator(self.seed, step, FEATURES))
        return upload(order[: self.compared].sort().values, self.weight.device)

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

    def logits(self, features: Tensor, drawn: Drawn) -> Tensor:
        """Cosines, or a linear layer's logits, (all B, n), of all ranks' features (B, D) with this rank's drawn
        classes.

        The gradient with respect to `features` is W times that of a sum over ranks, since `average_gradients` divides
        by W.
        """
        features, rows = at_least_fp32(features), drawn.rows
        if drawn.dimensions is not None:
            features, rows = features[:, drawn.dimensions], rows[:, drawn.dimensions]
        images = gather_for_shares(pad(features, (0, 1), value=1.0) if self.linear else normalize(features, dim=1))
        with torch.autocast(features.device.type, enabled=False):
            return product(images, rows if self.linear else normalize(rows, dim=1), self.products)

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
