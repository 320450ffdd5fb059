"""Zero-shot masks: the cosine of each patch and the sentence, both centred, with the threshold of train's best overall
IoU.

Centring on train's means removes what all patches and all sentences share, which otherwise dominates (the modality gap,
Liang et al. 2022). Patches of contrastively trained ViTs are often less similar where the object is (CLIP Surgery, Li
et al. 2023), so that train also decides on which side of the threshold the inside lies. Nothing else is learned. A
change to this recipe raises RECIPE.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from mlcd_eval.protocols.refcoco.mask_head import Rows
from mlcd_eval.support.progress import Advance

RECIPE = 1
BATCH = 256
SIDE = 64  # of the masks on which the threshold is chosen
BINS = 1000  # of the cosine; the thresholds tried are their edges


@dataclass(frozen=True)
class Similarity:
    """patch, text (D,): train's means of unit features. threshold: of the cosine. sign: 1 if the inside lies above the
    threshold, -1 if below."""

    patch: Tensor
    text: Tensor
    threshold: float = 0.0
    sign: int = 1

    def cosines(self, patches: Tensor, text: Tensor) -> Tensor:
        """Return the cosines (B, h, w) of patches (B, h, w, D) and unit text features (B, D), both centred."""
        centred = normalize(normalize(patches, dim=-1) - self.patch, dim=-1)
        return torch.einsum("bhwd,bd->bhw", centred, normalize(text - self.text, dim=-1))

    def scores(self, rows: Rows, count: int) -> Iterator[Tensor]:
        """Yield the scores (h, w) of each of `count` sentences, positive inside."""
        for index in _batches(count):
            yield from (self.sign * (self.cosines(*rows(index)) - self.threshold)).cpu()


def learn_similarity(
    rows: Rows,
    targets: Callable[[np.ndarray, int], Tensor],
    sizes: Sequence[tuple[int, int]],
    advance: Advance = lambda _: None,
) -> Similarity:
    """Return the means and threshold of the train sentences.

    targets: sentence numbers and a side -> (B, side, side) in [0, 1]. sizes: (height, width) of each sentence's image,
    which is at the top left of the square. advance: called with the sentences whose cosines were counted.
    """
    count = len(sizes)
    centred = Similarity(*_means(rows, count))
    device = centred.patch.device
    inside, cells = torch.zeros(2, BINS, dtype=torch.float64, device=device)
    for index in _batches(count):
        fine = interpolate(centred.cosines(*rows(index))[:, None], size=(SIDE, SIDE), mode="bilinear")[:, 0]
        bin_index = ((fine + 1) / 2 * BINS).long().clamp(0, BINS - 1).flatten()
        shown = _shown([sizes[number] for number in index])
        weight = torch.where(shown, targets(index, SIDE), 0).to(device, torch.float64).flatten()
        inside += torch.zeros_like(inside).index_add_(0, bin_index, weight)
        cells += torch.zeros_like(cells).index_add_(0, bin_index, shown.to(device, torch.float64).flatten())
        advance(len(index))
    inside, cells = inside.cpu(), cells.cpu()
    _, sign, threshold = max(_best_threshold(inside, cells, 1), _best_threshold(inside, cells, -1))
    return Similarity(centred.patch, centred.text, threshold, sign)


def _best_threshold(inside: Tensor, cells: Tensor, sign: int) -> tuple[float, int, float]:
    """Return the largest IoU of all bins on one side of an edge, the sign of that side, and the edge."""
    if sign > 0:
        inside, cells = inside.flip(0), cells.flip(0)
    both, predicted = inside.cumsum(0), cells.cumsum(0)
    iou = both / (predicted + inside.sum() - both).clamp_min(1)
    bins = int(iou.argmax()) + 1  # how many bins are inside, counted from the end of that side
    return float(iou.max()), sign, sign * (1 - 2 * bins / BINS)


def _means(rows: Rows, count: int) -> tuple[Tensor, Tensor]:
    patch, text = torch.zeros(()), torch.zeros(())
    for index in _batches(count):
        patches, texts = rows(index)
        patch = patch + normalize(patches, dim=-1).mean(dim=(1, 2)).sum(dim=0)
        text = text + texts.sum(dim=0)
    return patch / count, text / count


def _shown(sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Return (B, SIDE, SIDE): which cells of the square the images cover."""
    shape = torch.tensor(sizes, dtype=torch.float32)
    ends = SIDE * shape / shape.amax(dim=1, keepdim=True)
    middles = torch.arange(SIDE) + 0.5
    rows, columns = (middles < end[:, None] for end in ends.T)
    return rows[:, :, None] & columns[:, None, :]


def _batches(count: int) -> Iterator[np.ndarray]:
    for begin in range(0, count, BATCH):
        yield np.arange(begin, min(begin + BATCH, count))
