"""From centres to labels: the l most similar centres of each image (MLCD, section 3.1), or all above a similarity."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from mlcd_eval.errors import ConfigError
from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_train.products import Products, product
from mlcd_train.search import CELLS

ROWS = 1 << 13  # compared with all centres at a time
NONE = -1  # pads the labels of an image that has fewer than the others


@exact_fp32()
def nearest_centres(
    features: np.ndarray | Tensor,
    centres: Tensor,
    count: int,
    threshold: float | None = None,
    products: Products = "fp32",
) -> tuple[Tensor, Tensor]:
    """Return classes (int64) and cosine similarities (float32), each (N, count), of the unit centres (K, D) nearest to
    features (N, D), the most similar first.

    Of equal similarities the lowest class comes first.
    threshold: only centres at least as similar, at most `count` of them, but always the most similar one (table 5d);
    rows are padded with NONE, and similarities with 0. products: of features and centres.
    Raises ConfigError unless 1 <= count <= K.
    """
    if not 1 <= count <= len(centres):
        raise ConfigError(
            f"assign: got l = {count} labels per image, expected 1 to {len(centres)}, the number of centres"
        )
    classes, similarities = [], []
    size = max(1, min(ROWS, CELLS // len(centres)))
    for begin in range(0, len(features), size):
        part = features[begin : begin + size]
        rows = (part if isinstance(part, Tensor) else torch.from_numpy(np.array(part))).to(centres.device).float()
        cosine = product(torch.nn.functional.normalize(rows, dim=1), centres, products)
        top, index = _top(cosine, count)
        if threshold is not None:
            left_out = top < threshold
            left_out[:, 0] = False
            top, index = top.masked_fill(left_out, 0.0), index.masked_fill(left_out, NONE)
        classes.append(index.cpu())
        similarities.append(top.cpu())
    return torch.cat(classes), torch.cat(similarities)


def _top(cosine: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the `count` largest values of each row, descending, and their columns, the lowest of equal values: topk
    alone does not promise which of them it takes."""
    top, index = cosine.topk(count, dim=1)
    least = top[:, -1:]
    tied = (cosine == least).sum(dim=1) > (top == least).sum(dim=1)  # topk left out equals of the last value
    if tied.any():
        exact = cosine[tied].argsort(dim=1, descending=True, stable=True)[:, :count]
        index[tied], top[tied] = exact, cosine[tied].gather(1, exact)
    by_class = index.argsort(dim=1)  # then a stable sort by similarity keeps the lower class first
    top, index = top.gather(1, by_class), index.gather(1, by_class)
    order = top.argsort(dim=1, descending=True, stable=True)
    return top.gather(1, order), index.gather(1, order)


def centres_fingerprint(centres: Tensor) -> str:
    """sha256 over shape and float32 bytes."""
    array = centres.detach().cpu().float().contiguous().numpy()
    return hashlib.sha256(f"{array.shape}".encode() + array.tobytes()).hexdigest()
