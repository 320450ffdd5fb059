"""The losses of MLCD and of its baselines, as pure functions.

MLCD (An et al. 2024, arXiv 2407.17331, equations 4 to 8): with positive similarities s_i and negative ones s_j,

    MLC   log(1 + sum_j exp(s_j) * sum_i exp(-s_i))                       every negative against every positive
    MLCD  log(1 + sum_i exp(-s_i)) + log(1 + sum_j exp(s_j))              each side in its own term ("disambiguated")

and since (1 + a)(1 + b) = 1 + a + b + ab, MLCD is MLC with the two sums added inside the logarithm.

Scale and margin are already in the similarities. -inf in `negative` means "not a negative", +inf in `positive` "not a
positive": both drop out, with gradient zero. Everything is computed in at least float32, even under autocast.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

MarginKind = Literal["angular", "cosine"]
MarginGradient = Literal["exact", "straight_through"]
Filtered = Literal["left_out", "zero"]


def mlcd_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Positive (B, l) and negative (B, n) similarities -> (B,). No positives, or no negatives, add 0."""
    return mlcd_of_sums(logsumexp(-at_least_fp32(positive)), logsumexp(at_least_fp32(negative)))


def mlc_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Positive (B, l) and negative (B, n) similarities -> (B,). Zero where there are no positives or no negatives."""
    return mlc_of_sums(logsumexp(-at_least_fp32(positive)), logsumexp(at_least_fp32(negative)))


def mlcd_of_sums(positive: Tensor, negative: Tensor) -> Tensor:
    """MLCD (B,) of log sum_i exp(-s_i) and log sum_j exp(s_j), each (B,): sums that can be added up over shards of the
    classes."""
    return F.softplus(positive) + F.softplus(negative)


def mlc_of_sums(positive: Tensor, negative: Tensor) -> Tensor:
    """MLC (B,) of the sums that `mlcd_of_sums` takes; with one positive it is `cluster_loss`."""
    return F.softplus(positive + negative)


def cluster_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Softmax cross-entropy of one class, positive (B, 1), against its negatives (B, n) -> (B,): UNICOM's
    (An et al. 2023, arXiv 2304.05884), with the margin already in `positive`."""
    assert positive.shape[-1] == 1, "cluster discrimination has one positive per image"
    return mlc_of_sums(-at_least_fp32(positive).squeeze(-1), logsumexp(at_least_fp32(negative)))


def additive_angular_margin(cosine: Tensor, margin: float, scale: float) -> Tensor:
    """scale * cos(theta + margin) of cosine = cos(theta), elementwise (ArcFace, Deng et al. 2019).

    Where theta + margin exceeds pi, the value is scale * (cos(theta) - margin * sin(margin)), as in ArcFace's own code,
    which keeps the function decreasing in theta. The gradient is finite up to cosine = +-1.
    """
    cosine = at_least_fp32(cosine)
    if margin == 0:
        return scale * cosine
    sine = (1 - cosine.square()).clamp_min(1e-12).sqrt()
    shifted = cosine * math.cos(margin) - sine * math.sin(margin)
    return scale * torch.where(cosine > math.cos(math.pi - margin), shifted, cosine - margin * math.sin(margin))


def positive_similarity(
    cosine: Tensor,
    margin: float,
    scale: float,
    kind: MarginKind = "angular",
    gradient: MarginGradient = "straight_through",
) -> Tensor:
    """Similarities of positives with a margin: scale * cos(theta + margin) if it is `angular` (ArcFace), scale *
    (cos(theta) - margin) if it is `cosine` (CosFace, Wang et al. 2018), elementwise.

    gradient: `straight_through` takes d similarity / d cosine to be the scale, as the code of insightface and UNICOM
    does for an angular margin, and has no other value where theta + margin exceeds pi. Of a cosine margin that is the
    derivative.
    """
    cosine = at_least_fp32(cosine)
    if kind == "cosine":
        return scale * (cosine - margin)
    if gradient == "exact":
        return additive_angular_margin(cosine, margin, scale)
    with torch.no_grad():
        shift = torch.cos(cosine.clamp(-1, 1).acos() + margin) - cosine
    return scale * (cosine + shift)


def negative_similarity(
    cosine: Tensor, scale: float, threshold: float | None = None, filtered: Filtered = "left_out"
) -> Tensor:
    """scale * cosine of negatives, elementwise. Those whose cosine is above a threshold may be positives without a
    label: they are left out (-inf), or their cosine is `zero` without gradient, as in insightface's code."""
    similarity = scale * at_least_fp32(cosine)
    if threshold is None:
        return similarity
    return similarity.masked_fill(cosine > threshold, -torch.inf if filtered == "left_out" else 0.0)


def clip_loss(
    image: Tensor,
    text: Tensor,
    logit_scale: Tensor | float,
    images: Tensor | None = None,
    texts: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """Symmetric contrastive loss (CLIP, Radford et al. 2021, figure 3) of unit rows (B, D) -> (). Rows i are a pair.

    logit_scale: the factor itself, not its logarithm. images, texts (N, D): the rows to compare with, by default the
    same. If they are more, `image` and `text` are their rows from `first` on, and the mean of the losses of all such
    parts is the loss of the whole.
    """
    texts, images = text if texts is None else texts, image if images is None else images
    return (_one_way(image, texts, logit_scale, first) + _one_way(text, images, logit_scale, first)) / 2


def sigmoid_contrast_loss(
    image: Tensor,
    text: Tensor,
    logit_scale: Tensor | float,
    bias: Tensor | float,
    texts: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """SigLIP's loss (Zhai et al. 2023, arXiv 2303.15343, algorithm 1) of unit rows (B, D) -> (): each pair is judged on
    its own by logit_scale * cosine + bias; summed over texts, mean over images. Rows i are a pair.

    texts (N, D): as in `clip_loss`.
    """
    texts = text if texts is None else texts
    with torch.autocast(image.device.type, enabled=False):
        logits = logit_scale * at_least_fp32(image) @ at_least_fp32(texts).T + bias
    rows = torch.arange(len(image), device=image.device)
    signs = torch.full_like(logits, -1.0)
    signs.index_put_((rows, first + rows), torch.ones_like(logits[0, 0]))
    return F.softplus(-signs * logits).sum() / len(image)


def _one_way(rows: Tensor, others: Tensor, logit_scale: Tensor | float, first: int) -> Tensor:
    with torch.autocast(rows.device.type, enabled=False):
        logits = logit_scale * at_least_fp32(rows) @ at_least_fp32(others).T
    return F.cross_entropy(logits, first + torch.arange(len(rows), device=rows.device))


def at_least_fp32(values: Tensor) -> Tensor:
    """In float32; float64 stays float64."""
    return values if values.dtype == torch.float64 else values.float()


def logsumexp(values: Tensor) -> Tensor:
    """log sum exp over the last dimension; -inf, with gradient zero, if it is empty or holds nothing but -inf."""
    if values.shape[-1] == 0:
        return values.sum(dim=-1) - torch.inf  # a rank that has drawn no class takes part in backward's messages too
    largest = values.detach().amax(dim=-1, keepdim=True)
    largest = torch.where(largest == -torch.inf, torch.zeros_like(largest), largest)
    total = (values - largest).exp().sum(dim=-1)
    is_empty = total == 0
    logs = torch.where(is_empty, torch.ones_like(total), total).log() + largest.squeeze(-1)
    return torch.where(is_empty, torch.full_like(logs, -torch.inf), logs)
