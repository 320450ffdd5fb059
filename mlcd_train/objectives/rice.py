"""Region cluster discrimination (RICE, Xie et al. 2025, arXiv 2507.20025): regions of images against class centres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from mlcd_eval.encoders.adapters.checkpoint import DualEncoder
from mlcd_eval.errors import ConfigError
from mlcd_train.assignment import NONE
from mlcd_train.centres import ClassCentres
from mlcd_train.class_rows import Chosen, ClassRows, Drawn
from mlcd_train.data.batches import Batch
from mlcd_train.distributed import add_up, gather_on_host
from mlcd_train.drops import NOTHING, DropRule, Drops
from mlcd_train.host import upload
from mlcd_train.labels import LabelsInfo
from mlcd_train.objectives.base import ImageObjective, Needs, ObjectiveInputs, ObjectiveSettings
from mlcd_train.objectives.discrimination import Cluster, Mlcd
from mlcd_train.objectives.heads import SEEDS
from mlcd_train.region_file import RegionFile, vocabulary_of
from mlcd_train.row_files import CENTRES
from mlcd_train.sections import Augmentation, Count, OptimizerConfig, Positive


class Rice(ObjectiveSettings):
    """Objects have one class each, by a margin softmax; texts those of their tokens, by MLCD. Features of regions are
    the tower's patches in a box, pooled by attention with a learned query; the pooling is not in the checkpoint.

    regions: the file of boxes (docs/training.md). most: regions of an image that a step learns. objects, texts: their
    losses, means over labelled regions, of which the second is multiplied by text_weight.
    """

    needs: ClassVar[Needs] = Needs()
    name: Literal["rice"] = "rice"
    regions: Path
    most: Count = 10
    objects: Cluster = Cluster()
    texts: Mlcd = Mlcd()
    text_weight: Positive = 1.0

    def build(self, inputs: ObjectiveInputs) -> RegionDiscrimination:
        """Regions against centres of the file's classes."""
        if inputs.drops.patches:
            raise ConfigError("fit.patch_dropout: got a share above 0, expected 0 with fit.objective rice")
        regions = RegionFile(self.regions)
        heads = {}
        objects, texts = (self.objects, regions.objects, 1.0), (self.texts, regions.texts, self.text_weight)
        for number, (name, (settings, classes, weight)) in enumerate({"objects": objects, "texts": texts}.items()):
            if classes:
                info = LabelsInfo(len(regions), 1, len(classes), "", vocabulary_of(classes))
                seed = inputs.seed + number * SEEDS
                heads[name] = settings.class_centres(replace(inputs, seed=seed), info), weight, settings.centres_lr
        shape = inputs.model.config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(inputs.seed)
            pooling = RegionPooling(shape.vision.width, shape.vision.heads, shape.embed_dim or shape.vision.width)
        if inputs.device.type != "cpu":  # tensors without numbers (dry_step.py) cannot be moved
            pooling.to(inputs.device)
        return RegionDiscrimination(inputs.model, pooling, regions, heads, inputs.augmentation, self.most, inputs.drops)


class RegionPooling(nn.Module):
    """Attention of a learned query to the patches of a region: (b, P, width) and masks (b, N, P) -> (b, N, dim)."""

    def __init__(self, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Parameter(torch.randn(width) * width**-0.5)
        self.key, self.value = nn.Linear(width, width), nn.Linear(width, width)
        self.out = nn.Linear(width, dim)

    def forward(self, patches: Tensor, masks: Tensor) -> Tensor:
        """masks: whether a patch is in a region, at least one of each region."""
        key, value = (
            layer(patches).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.key, self.value)
        )
        query = self.query.to(key.dtype).unflatten(0, (self.heads, 1, -1)).expand(len(patches), -1, masks.shape[1], -1)
        pooled = scaled_dot_product_attention(query, key, value, attn_mask=masks[:, None])
        return self.out(pooled.transpose(1, 2).flatten(2))


def patch_masks(boxes: Tensor, grid: int) -> Tensor:
    """Boxes (B, N, 4), from 0 to 1 -> (B, N, grid * grid): whether a patch and a box overlap. An empty box, of a region
    that is not there, has all."""
    edges = torch.arange(grid + 1) / grid
    left, top, right, bottom = boxes[..., None].unbind(2)
    across = (left < edges[1:]) & (right > edges[:-1])
    down = (top < edges[1:]) & (bottom > edges[:-1])
    masks = (down[..., :, None] & across[..., None, :]).flatten(2)
    return masks | ~masks.any(dim=-1, keepdim=True)


class RegionDiscrimination(ImageObjective):
    """Regions against class centres. heads: centres, weight of the loss and factor on the learning rate, by name:
    objects, texts."""

    def __init__(
        self,
        model: DualEncoder,
        pooling: RegionPooling,
        regions: RegionFile,
        heads: Mapping[str, tuple[ClassCentres, float, float]],
        augmentation: Augmentation,
        most: int,
        drops: DropRule = NOTHING,
    ) -> None:
        super().__init__(model, drops)
        self._pooling, self._regions, self._heads = pooling, regions, heads
        self._augmentation, self._most = augmentation, most
        self.parameters += [(f"regions.{name}", parameter) for name, parameter in pooling.named_parameters()]
        self._coming: tuple[Tensor, dict[str, tuple[Tensor, Chosen]]] | None = None
        self._drawn: dict[str, Drawn] = {}

    def prepare(self, batch: Batch, step: int) -> None:
        """Find the regions that the crops show, and choose the classes."""
        self.enter("centres")
        seeds = batch.seeds or [""] * len(batch.keys)
        seen = self._regions.seen(batch.keys, seeds, self._augmentation, self._most)
        labels = {name: getattr(seen, name) for name in self._heads}
        chosen = {name: (own, self._heads[name][0].choose(own, step)) for name, own in labels.items()}
        self._coming = patch_masks(seen.boxes, self.model.config.vision.grid), chosen

    def begin(self, parts: int) -> None:
        """Read the rows of the classes, and count the labelled regions of the whole batch."""
        assert self._coming is not None, "prepare comes before step"
        masks, chosen = self._coming
        self._masks = masks.chunk(parts)
        self._labels = {name: labels.chunk(parts) for name, (labels, _) in chosen.items()}
        self._drawn = {name: self._heads[name][0].read(classes) for name, (_, classes) in chosen.items()}
        self._counts = {name: int(_has_label(gather_on_host(own)).sum()) / parts for name, (own, _) in chosen.items()}

    def features(self, pixels: Tensor, left_out: Drops, number: int) -> Tensor:
        """Of the regions of a part's images: (b N, D)."""
        _, patches = self.model.visual(pixels, None, left_out.paths)
        return self._pooling(patches.flatten(1, 2), upload(self._masks[number], pixels.device)).flatten(0, 1)

    def part(self, features: Tensor, number: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the losses of objects and texts, each a mean over the labelled regions of the batch."""
        loss, terms = features.new_zeros((), dtype=torch.float32), dict[str, Tensor]()
        for name, (centres, weight, _) in self._heads.items():
            labels = self._labels[name][number]
            outcome = centres.forward(features, labels, self._drawn[name])
            labelled = upload(_has_label(gather_on_host(labels)), features.device)
            of_head = torch.where(labelled, outcome.losses, 0.0).sum() / max(self._counts[name], 1e-9)
            loss = loss + weight * of_head
            cosines = {key: outcome.terms[key] for key in ("positive_cosine", "negative_cosine")}
            terms |= {f"{name}/{key}": value for key, value in ({"loss": of_head.detach()} | cosines).items()}
        return loss, {"loss": loss.detach(), **terms}

    def finite(self) -> Tensor:
        """Whether the gradients of all drawn rows are."""
        grads = [drawn.rows.grad for drawn in self._drawn.values() if drawn.rows.grad is not None]
        return add_up(torch.stack([(~grad.isfinite()).sum() for grad in grads]).sum()) == 0

    def update(self, lr: float, config: OptimizerConfig, grad_scale: float) -> None:
        """AdamW on the drawn rows."""
        self.enter("centres")
        for name, (centres, _, factor) in self._heads.items():
            centres.update(self._drawn[name], lr * factor, config.betas, config.eps, config.weight_decay, grad_scale)

    def centres(self) -> Mapping[str, ClassRows]:
        """This rank's class centres of objects and texts."""
        return {f"{CENTRES}_{name}": centres for name, (centres, _, _) in self._heads.items()}


def _has_label(labels: Tensor) -> Tensor:
    """Of labels (n, l), whether a row has one."""
    return (labels != NONE).any(dim=1)
