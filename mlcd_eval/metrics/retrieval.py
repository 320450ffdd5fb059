"""Image-text retrieval: the rank of what each query looks for, holding one tile of the similarities at a time."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from mlcd_eval.support.arithmetic import exact_fp32
from mlcd_eval.support.progress import Advance
from mlcd_eval.support.resident import Rows

Array = torch.Tensor | Rows
"""Rows of unit length, on a device or elsewhere."""

# Ranks are exact: they depend neither on the tile size nor on the order in which a device adds. Embeddings are rounded
# to multiples of 2^-26 and multiplied in float64. Every product is then a multiple of 2^-52 and, for unit vectors, each
# partial sum is below 2, so nothing is ever rounded, and equal rows tie exactly. (The rounding moves a similarity less
# than float32 arithmetic does.) Only pairs that float32 cannot tell apart for certain are multiplied in this way.
_SCALE = 2.0**26
_NORM = 1.4  # largest norm of a row
MOST_UNSURE = 1 / 64  # of a tile's pairs: beyond, as with a constant encoder, all are multiplied exactly


class Ranks(NamedTuple):
    """1-based ranks, int64: of each caption's image among the images, of each image's best caption among the captions.

    An image without captions has rank T + 1, since no caption belongs to it: leave it out of the mean. `..._ties`: how
    many of the items ahead are only equal; less these, it is the rank if ties went the query's way, as topk may decide.
    """

    text_to_image: NDArray[Any]  # (T,)
    image_to_text: NDArray[Any]  # (N,)
    text_to_image_ties: NDArray[Any]
    image_to_text_ties: NDArray[Any]


@torch.no_grad()
@exact_fp32()
def retrieval_ranks(
    image: Array, text: Array, image_of_text: torch.Tensor, tile: int | None = None, advance: Advance = lambda _: None
) -> Ranks:
    """Ranks of the true items in both directions, from one pass over the similarities.

    image (N, D) and text (T, D): L2-normalised rows, on one device, or Rows whose rows are; image_of_text (T,) int64:
    row of a caption's image, on this device.
    A rank is 1 + the items that are strictly more similar + the equally similar ones with a lower index, so that a
    constant encoder does not score 100%.
    tile: similarities held at once, tile x tile; changes speed and memory, never a rank.
    advance: called with the number of images that were compared with all captions.
    """
    assert len(image) > 0 and len(text) == len(image_of_text) > 0
    tile = tile or (8192 if image.device.type == "cuda" else 1024)
    num_images, num_texts, device = len(image), len(text), image.device
    images, texts = (rows if isinstance(rows, Rows) else Rows(rows, device, keep=False) for rows in (image, text))
    for rows in (images, texts):
        longest = torch.stack([torch.linalg.vector_norm(part, dim=1).max() for part in rows.chunks(tile)])
        assert bool(longest.max() < _NORM), "rows must be finite and L2-normalised"

    true_score = torch.cat(
        [
            (fixed_point(images[of]) * fixed_point(part)).sum(1)
            for part, of in zip(texts.chunks(tile), torch.split(image_of_text.cpu(), tile), strict=True)
        ]
    )
    best_score = torch.full((num_images,), -torch.inf, dtype=torch.float64, device=device)
    best_score.scatter_reduce_(0, image_of_text, true_score, "amax")
    best_text = torch.full((num_images,), num_texts, device=device)
    is_best = (true_score == best_score[image_of_text]).nonzero().squeeze(1)
    best_text.scatter_reduce_(0, image_of_text[is_best], is_best, "amin")

    ahead_of_text = torch.zeros(2, num_texts, dtype=torch.int64, device=device)  # strictly, and by a lower index
    ahead_of_image = torch.zeros(2, num_images, dtype=torch.int64, device=device)
    for i, gallery in zip(range(0, num_images, tile), images.chunks(tile), strict=True):
        lines = slice(i, i + tile)
        for t, queries in zip(range(0, num_texts, tile), texts.chunks(tile), strict=True):
            columns = slice(t, t + tile)
            pair = Tile(gallery, queries)
            ahead_of_text[:, columns] += pair.num_ahead(true_score[columns], image_of_text[columns] - i)
            ahead_of_image[:, lines] += pair.T.num_ahead(best_score[lines], best_text[lines] - t)
        advance(len(gallery))
    of_text, of_image = ahead_of_text.cpu().numpy(), ahead_of_image.cpu().numpy()
    return Ranks(1 + of_text.sum(0), 1 + of_image.sum(0), of_text[1], of_image[1])


@torch.no_grad()
@exact_fp32()
def caption_ranks(
    image: Array, text: Array, image_of_text: torch.Tensor, tile: int | None = None, advance: Advance = lambda _: None
) -> NDArray[Any]:
    """1-based ranks (T,), int64, of each caption among all captions for its image, by the order of `retrieval_ranks`.

    image, text, image_of_text, tile: as there. advance: called with the number of captions that were compared with all.
    """
    tile = tile or (8192 if image.device.type == "cuda" else 1024)
    images, texts = (rows if isinstance(rows, Rows) else Rows(rows, image.device, keep=False) for rows in (image, text))
    starts, of = range(0, len(texts), tile), image_of_text.cpu()
    ahead = torch.zeros(2, len(texts), dtype=torch.int64, device=image.device)
    for start in starts:
        rows = slice(start, start + tile)
        queries = images[of[rows]]
        score = (fixed_point(queries) * fixed_point(texts[rows])).sum(1)
        index = torch.arange(start, start + len(queries), device=image.device)
        for other, gallery in zip(starts, texts.chunks(tile), strict=True):
            ahead[:, rows] += Tile(gallery, queries).num_ahead(score, index - other)
        advance(len(queries))
    ranks: NDArray[Any] = 1 + ahead.sum(0).cpu().numpy()
    return ranks


def recall_at(ranks: NDArray[Any], k: int) -> NDArray[Any]:
    """1.0 for each query whose true item is among the K best, else 0.0. With fewer than K items every query counts."""
    return (ranks <= k).astype(np.float64)


def fixed_point(rows: torch.Tensor) -> torch.Tensor:
    """Return rows rounded to multiples of 2^-26 in float64, whose products add up without rounding."""
    return rows.double().mul_(_SCALE).round_().div_(_SCALE)


class Tile:
    """Similarities of a gallery (G, D) and queries (Q, D), by float32 where that is enough."""

    def __init__(self, gallery: torch.Tensor, queries: torch.Tensor, mirror: Tile | None = None) -> None:
        self._gallery, self._queries, self._mirror = gallery, queries, mirror
        self._about: torch.Tensor = mirror._about.T if mirror else gallery.float() @ queries.float().T
        d = gallery.shape[1]
        # of a sum in any order (Higham 2002, section 3.1), of rounding the rows, and of rounding the bounds below
        self._error = _NORM**2 * d * 2.0**-24 + _NORM * d**0.5 * 2.0**-26 + 2.0**-22

    @property
    def T(self) -> Tile:
        """Gallery and queries exchanged."""
        return Tile(self._queries, self._gallery, self)

    @cached_property
    def _exact(self) -> torch.Tensor:
        if self._mirror:
            return self._mirror._exact.T
        return fixed_point(self._gallery) @ fixed_point(self._queries).T

    def num_ahead(self, true_score: torch.Tensor, true_index: torch.Tensor) -> torch.Tensor:
        """(2, Q): how many rows of the gallery are more similar than each query's true item, whose row is true_index
        (it may lie outside), and how many are equally similar and come before it."""
        low, high = (true_score - self._error).float(), (true_score + self._error).float()
        counts = torch.empty_like(self._about)  # comparisons into floats: many times as fast as into booleans
        above = torch.gt(self._about, high, out=counts).sum(0)
        unsure = torch.ge(self._about, low, out=counts).sum(0) - above
        if unsure.sum() > MOST_UNSURE * self._about.numel():
            return _num_ahead(self._exact, true_score, true_index)
        some = unsure.nonzero().squeeze(1)
        about = self._about[:, some]
        row, column = ((about >= low[some]) & (about <= high[some])).nonzero(as_tuple=True)
        query = some[column]
        score = (fixed_point(self._gallery[row]) * fixed_point(self._queries[query])).sum(1)
        tied = (score == true_score[query]) & (row < true_index[query])
        ahead = torch.stack([above.long(), torch.zeros_like(true_index)])
        for kind, is_ahead in enumerate((score > true_score[query], tied)):
            ahead[kind].index_add_(0, query, is_ahead.long())
        return ahead


def _num_ahead(scores: torch.Tensor, true_score: torch.Tensor, true_index: torch.Tensor) -> torch.Tensor:
    """`Tile.num_ahead` from exact scores (G, Q)."""
    earlier = torch.arange(len(scores), device=scores.device)[:, None] < true_index
    tied = (scores == true_score) & earlier
    return torch.stack([(scores > true_score).sum(0), tied.sum(0)])
