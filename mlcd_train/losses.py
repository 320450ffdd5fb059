"""The losses of MLCD and of its baselines, as pure functions.

MLCD (An et al. 2024, arXiv 2407.17331, equations 4 to 8): with positive similarities s_i and negative ones s_j,

    MLC   log(1 + sum_j exp(s_j) * sum_i exp(-s_i))                       every negative against every positive
    MLCD  log(1 + sum_i exp(-s_i)) + log(1 + sum_j exp(s_j))              the two sides apart ("disambiguated")

and since (1 + a)(1 + b) = 1 + a + b + ab, MLCD is MLC with the two sums added inside the logarithm.

Similarities come scaled and with the margin in. -inf in `negative` means "not a negative", +inf in `positive` "not a
positive": both drop out, with gradient zero. Everything is computed in float32 at least, also under autocast.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def mlcd_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Positive (B, l) and negative (B, n) similarities -> (B,). No positives, or no negatives, add 0."""
    return mlcd_of_sums(logsumexp(-_float(positive)), logsumexp(_float(negative)))


def mlc_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Positive (B, l) and negative (B, n) similarities -> (B,). Zero where there are no positives or no negatives."""
    return mlc_of_sums(logsumexp(-_float(positive)), logsumexp(_float(negative)))


def mlcd_of_sums(positive: Tensor, negative: Tensor) -> Tensor:
    """MLCD of log sum_i exp(-s_i) and log sum_j exp(s_j), which shards of the classes can add up between them."""
    return F.softplus(positive) + F.softplus(negative)


def mlc_of_sums(positive: Tensor, negative: Tensor) -> Tensor:
    """MLC of the same sums; with one positive it is `cluster_loss`."""
    return F.softplus(positive + negative)


def cluster_loss(positive: Tensor, negative: Tensor) -> Tensor:
    """Softmax cross-entropy of one class, positive (B, 1), against its negatives (B, n) -> (B,): UNICOM's
    (An et al. 2023, arXiv 2304.05884), with the margin already in `positive`."""
    assert positive.shape[-1] == 1, "cluster discrimination has one positive an image"
    return mlc_of_sums(-_float(positive).squeeze(-1), logsumexp(_float(negative)))


def additive_angular_margin(cosine: Tensor, margin: float, scale: float) -> Tensor:
    """scale * cos(theta + margin) of cosine = cos(theta), elementwise (ArcFace, Deng et al. 2019).

    Where theta + margin passes pi, ArcFace's own code goes on with cos(theta) - margin * sin(margin), which keeps the
    function decreasing in theta. The gradient is finite up to cosine = +-1.
    """
    cosine = _float(cosine)
    if margin == 0:
        return scale * cosine
    sine = (1 - cosine.square()).clamp_min(1e-12).sqrt()
    shifted = cosine * math.cos(margin) - sine * math.sin(margin)
    return scale * torch.where(cosine > math.cos(math.pi - margin), shifted, cosine - margin * math.sin(margin))


def clip_loss(
    image: Tensor,
    text: Tensor,
    logit_scale: Tensor | float,
    images: Tensor | None = None,
    texts: Tensor | None = None,
    first: int = 0,
) -> Tensor:
    """Symmetric contrastive loss (CLIP, Radford et al. 2021, figure 3) of unit rows (B, D), row i of both a pair -> ().

    logit_scale: the factor itself, not its logarithm. images, texts (N, D): what the rows stand against, where they are
    but a part of it that begins at row `first`; the loss of the whole is then the mean of its parts'.
    """
    texts, images = text if texts is None else texts, image if images is None else images
    return (_one_way(image, texts, logit_scale, first) + _one_way(text, images, logit_scale, first)) / 2


def _one_way(rows: Tensor, others: Tensor, logit_scale: Tensor | float, first: int) -> Tensor:
    with torch.autocast(rows.device.type, enabled=False):
        logits = logit_scale * _float(rows) @ _float(others).T
    return F.cross_entropy(logits, first + torch.arange(len(rows), device=rows.device))


def _float(values: Tensor) -> Tensor:
    """float32, or float64 where it is that already."""
    return values if values.dtype == torch.float64 else values.float()


def logsumexp(values: Tensor) -> Tensor:
    """Over the last dimension; -inf, with gradient zero, where it is empty or holds nothing but -inf."""
    if values.shape[-1] == 0:
        return values.new_full(values.shape[:-1], -torch.inf)
    largest = values.detach().amax(dim=-1, keepdim=True)
    largest = torch.where(largest == -torch.inf, torch.zeros_like(largest), largest)
    total = (values - largest).exp().sum(dim=-1)
    none = total == 0
    logs = torch.where(none, torch.ones_like(total), total).log() + largest.squeeze(-1)
    return torch.where(none, torch.full_like(logs, -torch.inf), logs)
